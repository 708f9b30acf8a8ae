// What an action made: files, directories that unfold, symbolic links.
import { Link } from "@tanstack/react-router";
import type { ActionResult, OutputDirectory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { linkSearch, sibling, type BlobRef } from "./digest";
import { FileRow, FolderRow, SymlinkRow } from "./entry-row";
import { OutputTree, onTreeKey } from "./output-tree";
import { Section } from "./parts";

export function ActionOutputs({ action, result }: { action: BlobRef; result: ActionResult }) {
  // Older clients say links in two lists, newer ones in one, careful ones in both.
  const links = new Map([...result.outputFileSymlinks, ...result.outputDirectorySymlinks, ...result.outputSymlinks].map((link) => [link.path, link.target]));
  const count = result.outputFiles.length + result.outputDirectories.length + links.size;
  return (
    <Section id="outputs" title="Outputs" aside={<span className="text-muted">{count}</span>}>
      {count === 0 ? (
        <p className="text-muted">It made no files: what counts is its exit code and what it printed.</p>
      ) : (
        <ul aria-labelledby="outputs" className="-mt-2" onKeyDown={onTreeKey}>
          {result.outputDirectories.map((directory) => (
            <OutputFolder key={directory.path} directory={directory} action={action} />
          ))}
          {result.outputFiles.map((file) => (
            <FileRow key={file.path} name={file.path.split("/").at(-1) ?? file.path} path={file.path} blob={file.digest === undefined ? undefined : sibling(action, file.digest)} executable={file.isExecutable} link={<PathLink path={file.path} blob={file.digest === undefined ? undefined : sibling(action, file.digest)} />} />
          ))}
          {[...links].map(([path, target]) => (
            <SymlinkRow key={path} name={path} target={target} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function OutputFolder({ directory, action }: { directory: OutputDirectory; action: BlobRef }) {
  if (directory.treeDigest !== undefined) return <OutputTree path={directory.path} tree={sibling(action, directory.treeDigest)} />;
  // Newer clients may say the root directory only.
  const root = directory.rootDirectoryDigest === undefined ? undefined : sibling(action, directory.rootDirectoryDigest);
  return (
    <FolderRow note={root === undefined ? "the result does not say what is in it" : ""}>
      {root === undefined ? (
        directory.path
      ) : (
        <Link to="/blobs/$hash" params={{ hash: root.hash }} search={{ ...linkSearch(root), kind: "directory", name: directory.path }} preload={false} className="text-link font-medium">
          {directory.path}
        </Link>
      )}
    </FolderRow>
  );
}

/** The whole path; the folder steps back so that the name is seen. */
function PathLink({ path, blob }: { path: string; blob: BlobRef | undefined }) {
  const cut = path.lastIndexOf("/") + 1;
  const words = (
    <>
      <span className="text-muted">{path.slice(0, cut)}</span>
      {path.slice(cut)}
    </>
  );
  if (blob === undefined) return words;
  return (
    <Link to="/blobs/$hash" params={{ hash: blob.hash }} search={{ ...linkSearch(blob), name: path.slice(cut) }} preload={false} className="text-link" title={path}>
      {words}
    </Link>
  );
}
