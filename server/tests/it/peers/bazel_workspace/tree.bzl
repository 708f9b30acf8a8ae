"""Rules with a folder as output, and with a folder as input."""

def _tree(ctx):
    folder = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [folder],
        mnemonic = "Tree",
        arguments = [folder.path, str(ctx.attr.depth), str(ctx.attr.files)],
        command = """
set -eu
mkdir -p "$1"
cd "$1"
for level in $(seq "$2"); do
    for file in $(seq "$3"); do
        echo "level $level, file $file" > "file_$file.txt"
    done
    : > empty.txt
    printf '#!/bin/sh\\n' > run.sh
    chmod +x run.sh
    mkdir "below_$level"
    cd "below_$level"
done
echo bottom > bottom.txt
""",
    )
    return [DefaultInfo(files = depset([folder]))]

tree = rule(
    implementation = _tree,
    attrs = {
        "depth": attr.int(mandatory = True),
        "files": attr.int(mandatory = True),
    },
)

def _summary(ctx):
    folder = ctx.file.tree
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.run_shell(
        inputs = [folder],
        outputs = [out],
        mnemonic = "Summary",
        arguments = [folder.path, out.path],
        command = "find -L \"$1\" -type f | LC_ALL=C sort | xargs cat | cksum > \"$2\"",
    )
    return [DefaultInfo(files = depset([out]))]

summary = rule(
    implementation = _summary,
    attrs = {"tree": attr.label(allow_single_file = True)},
)
