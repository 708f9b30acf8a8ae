// The input root of an action, unfolded where one looks: each directory is read when it is opened, in one small call.
import { useState } from "react";
import { errorText } from "@/api/transport";
import { DirectorySchema, type Directory } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { Button } from "@/ui/button";
import { sibling, type BlobRef } from "./digest";
import { FileRow, FolderRow, SymlinkRow, UnfoldButton } from "./entry-row";
import { onTreeKey } from "./output-tree";
import { useMessage } from "./read";
import { entryCount } from "./tree";

/** So many rows of one directory at once. */
const ROWS_STEP = 500;

export function InputTree({ root }: { root: BlobRef }) {
  return (
    <ul aria-label="Inputs" className="border-t" onKeyDown={onTreeKey}>
      <Folder blob={root} name="(the input root)" path="" depth={0} first />
    </ul>
  );
}

function Folder({ blob, name, path, depth, first = false }: { blob: BlobRef; name: string; path: string; depth: number; first?: boolean }) {
  // The root comes with the page, so that its entries are there at once.
  const [open, setOpen] = useState(first);
  const { data, error } = useMessage(DirectorySchema, open ? blob : undefined);
  const problem = error !== null ? errorText(error) : data?.state === "missing" ? "not in the cache: it was evicted, or the client never uploaded it" : data?.state === "other" ? `can't be shown as a directory: ${data.why}` : undefined;
  const folder = data?.state === "here" ? data.message : undefined;
  const note = problem !== undefined ? <span className="text-warn">{problem}</span> : !open ? "directory" : folder === undefined ? "reading …" : words(folder);
  return (
    <>
      <FolderRow depth={depth} note={note}>
        <UnfoldButton open={open} name={name} onToggle={() => setOpen(!open)} />
      </FolderRow>
      {open && folder !== undefined && <Entries folder={folder} of={blob} path={path} depth={depth + 1} />}
    </>
  );
}

function Entries({ folder, of, path, depth }: { folder: Directory; of: BlobRef; path: string; depth: number }) {
  const [limit, setLimit] = useState(ROWS_STEP);
  const { directories, files, symlinks } = folder;
  const left = entryCount(folder) - limit;
  const filesFrom = directories.length;
  const linksFrom = filesFrom + files.length;
  return (
    <>
      {directories.slice(0, limit).map((each) => (each.digest === undefined ? null : <Folder key={each.name} blob={sibling(of, each.digest)} name={each.name} path={`${path}${each.name}/`} depth={depth} />))}
      {files.slice(0, Math.max(0, limit - filesFrom)).map((each) => (
        <FileRow key={each.name} name={each.name} path={`${path}${each.name}`} blob={each.digest === undefined ? undefined : sibling(of, each.digest)} executable={each.isExecutable} depth={depth} />
      ))}
      {symlinks.slice(0, Math.max(0, limit - linksFrom)).map((each) => (
        <SymlinkRow key={each.name} name={each.name} target={each.target} depth={depth} />
      ))}
      {left > 0 && (
        <li className="border-b py-1 pl-6">
          {left} more{" "}
          <Button look="quiet" onClick={() => setLimit(limit + ROWS_STEP)}>
            Show the next {Math.min(ROWS_STEP, left)}
          </Button>
        </li>
      )}
    </>
  );
}

function words(folder: Directory): string {
  const entries = entryCount(folder);
  return entries === 0 ? "empty" : entries === 1 ? "1 entry" : `${entries} entries`;
}
