// An output directory of an action: its Tree is read when it is unfolded, then its folders unfold without another call.
import { useMemo, useState, type KeyboardEvent } from "react";
import { errorText } from "@/api/transport";
import { Alert } from "@/ui/message";
import { Button } from "@/ui/button";
import { sibling, type BlobRef } from "./digest";
import { FileRow, FolderRow, SymlinkRow, UnfoldButton } from "./entry-row";
import { baseName } from "./parts";
import { MESSAGE_MAX_BYTES, useBlob } from "./read";
import { entryCount, flatten, readTree, type Row } from "./tree";

/** So many rows at once; a tree may have a hundred thousand. */
const ROWS_STEP = 1000;

export function OutputTree({ path, tree }: { path: string; tree: BlobRef }) {
  const [open, setOpen] = useState(false);
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(new Set());
  const [limit, setLimit] = useState(ROWS_STEP);
  const { folders, error, isPending } = useTree(open ? tree : undefined);
  const rows = useMemo(() => (folders === undefined ? [] : flatten(folders, unfolded)), [folders, unfolded]);
  const toggle = (row: string) => setUnfolded((before) => (before.has(row) ? new Set([...before].filter((each) => each !== row)) : new Set([...before, row])));
  const note = !open ? "" : isPending ? "reading …" : folders === undefined ? "" : count(entryCount(folders.root));
  return (
    <>
      <FolderRow note={note}>
        <UnfoldButton open={open} name={path === "" ? "(the working directory)" : path} onToggle={() => setOpen(!open)} />
      </FolderRow>
      {open && error !== undefined && (
        <li className="border-b py-2 pl-6">
          <Alert tone="warn">{error}</Alert>
        </li>
      )}
      {open && rows.slice(0, limit).map((row) => <TreeRow key={row.path} row={row} tree={tree} onToggle={() => toggle(row.path)} />)}
      {open && rows.length > limit && (
        <li className="border-b py-1 pl-6">
          {rows.length - limit} more{" "}
          <Button look="quiet" onClick={() => setLimit(limit + ROWS_STEP)}>
            Show the next {Math.min(ROWS_STEP, rows.length - limit)}
          </Button>
        </li>
      )}
    </>
  );
}

/** In a list of rows: up and down go from folder to folder, right and left unfold and fold. */
export function onTreeKey(event: KeyboardEvent<HTMLElement>): void {
  const button = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>("[data-row]") : null;
  if (button === null || event.ctrlKey || event.metaKey || event.altKey) return;
  const open = button.getAttribute("aria-expanded") === "true";
  if (event.key === "ArrowRight" && !open) button.click();
  else if (event.key === "ArrowLeft" && open) button.click();
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const all = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-row]:not(:disabled)")];
    all[all.indexOf(button) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  } else return;
  event.preventDefault();
}

function TreeRow({ row, tree, onToggle }: { row: Row; tree: BlobRef; onToggle: () => void }) {
  const depth = row.depth + 1;
  if (row.kind === "file") return <FileRow name={baseName(row.name)} path={row.path} blob={row.digest === undefined ? undefined : sibling(tree, row.digest)} executable={row.executable} depth={depth} />;
  if (row.kind === "symlink") return <SymlinkRow name={row.name} target={row.target} depth={depth} />;
  return (
    <FolderRow depth={depth} note={row.missing ? "is not in the tree that was uploaded" : count(row.entries)}>
      <UnfoldButton open={row.open} name={row.name} disabled={row.missing} onToggle={onToggle} />
    </FolderRow>
  );
}

function useTree(tree: BlobRef | undefined) {
  const { data, error, isPending } = useBlob(tree, MESSAGE_MAX_BYTES);
  return useMemo(() => {
    if (error !== null) return { error: errorText(error), isPending: false };
    if (data === undefined || tree === undefined) return { isPending };
    if (!data.here) return { error: "The list of what is in this directory (its Tree) is not in the cache any more. Build again to have it back.", isPending: false };
    if (data.size > BigInt(data.bytes.length)) return { error: `The list of what is in this directory has ${data.size} bytes, more than a page can take.`, isPending: false };
    try {
      return { folders: readTree(data.bytes, tree.fn), isPending: false };
    } catch {
      return { error: "The bytes that should list this directory are no Tree message.", isPending: false };
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the digest says which tree it is
  }, [data, error, isPending, tree?.hash]);
}

function count(entries: number): string {
  return entries === 0 ? "empty" : entries === 1 ? "1 entry" : `${entries} entries`;
}
