#!/usr/bin/env bash
# Installs the clients that server/tests/it/peers drives and that no distribution has as they are wanted: those from PyPI
# in a virtual environment, and sccache with WebDAV. They are kept outside the target folder, for every clone on this
# machine. Says nothing when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-tools
requirements=server/tests/it/peers/requirements.txt
# The distributions' sccache is older than its WebDAV, or built without it.
SCCACHE_VERSION=0.19.0

missing=0
complain() {
    echo "missing: $1" >&2
    missing=1
}

# The list of packages is laid beside them last: no list, or another one, means not installed, or half.
if ! cmp -s "$requirements" "$tools/python/requirements.txt"; then
    echo "setup: bgd, grpcio and ccache from PyPI into $tools/python (half a minute, once on a machine)"
    rm -rf "$tools/python"
    mkdir -p "$tools"
    if python3 -m venv "$tools/python" &&
        "$tools/python/bin/pip" install --quiet --disable-pip-version-check --no-input -r "$requirements"; then
        cp "$requirements" "$tools/python/requirements.txt"
    else
        complain "bgd, grpcio and ccache; run: scripts/peers-tools.sh (it needs Python 3.11 or later and PyPI)"
    fi
fi

# Not optimized: it has two files to compile, and this takes half as long.
if [ ! -x "$tools/bin/sccache" ] || [ "$("$tools/bin/sccache" --version)" != "sccache $SCCACHE_VERSION" ]; then
    echo "setup: cargo install sccache (takes about four minutes, once on a machine)"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --force --root "$tools" sccache \
        --version "$SCCACHE_VERSION" --no-default-features --features webdav ||
        complain "sccache; run: scripts/peers-tools.sh"
fi

exit "$missing"
