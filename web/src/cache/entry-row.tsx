// One row of a list of files: what it is, its name, its size, its digest, and a way to have it. The same in an action's
// outputs, in a tree and in a directory.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { bytesText } from "@/ui/bytes";
import { ChevronIcon, FileIcon, FolderIcon, LinkIcon } from "@/ui/icons";
import { linkSearch, type BlobRef } from "./digest";
import { DigestId } from "./digest-id";
import { Download } from "./parts";

const GRID = "grid min-h-8 grid-cols-[minmax(0,1fr)_auto_auto] items-center gap-x-3 border-b hover:bg-hover sm:grid-cols-[minmax(0,1fr)_6rem_6rem_8.5rem_1.75rem]";
const INDENT_PX = 18;

export function FileRow({ name, path, blob, executable, depth = 0, link }: { name: string; path: string; blob: BlobRef | undefined; executable: boolean; depth?: number; link?: ReactNode }) {
  return (
    <li className={GRID}>
      <Name icon={<FileIcon className="text-muted" />} depth={depth}>
        {link ??
          (blob === undefined ? (
            name
          ) : (
            <Link to="/blobs/$hash" params={{ hash: blob.hash }} search={{ ...linkSearch(blob), name }} preload={false} className="text-link" title={path}>
              {name}
            </Link>
          ))}
      </Name>
      <span className="hidden text-muted sm:inline">{executable && "executable"}</span>
      <span className="text-right">{blob?.size !== undefined && <span title={`${blob.size} bytes`}>{bytesText(blob.size)}</span>}</span>
      <span className="hidden sm:inline">{blob !== undefined && <DigestId blob={blob} of={path} />}</span>
      <span>{blob !== undefined && <Download blob={blob} name={name} />}</span>
    </li>
  );
}

/** A folder: behind a button that unfolds it, or behind a link. */
export function FolderRow({ depth = 0, note, children }: { depth?: number; note: ReactNode; children: ReactNode }) {
  return (
    <li className={GRID}>
      <Name icon={<FolderIcon className="text-accent" />} depth={depth}>
        {children}
      </Name>
      <span className="col-span-2 text-right text-muted sm:col-span-4 sm:text-left">{note}</span>
    </li>
  );
}

export function UnfoldButton({ open, name, disabled = false, onToggle }: { open: boolean; name: string; disabled?: boolean; onToggle: () => void }) {
  return (
    <button type="button" aria-expanded={open} disabled={disabled} onClick={onToggle} className="flex max-w-full items-center gap-1 rounded text-left font-medium disabled:text-muted" data-row="">
      <ChevronIcon className={`text-muted ${open ? "rotate-90" : ""}`} />
      <span className="min-w-0 sm:truncate">{name}</span>
    </button>
  );
}

export function SymlinkRow({ name, target, depth = 0 }: { name: string; target: string; depth?: number }) {
  return (
    <li className={GRID}>
      <Name icon={<LinkIcon className="text-muted" />} depth={depth}>
        {name} <span className="text-muted">→ {target}</span>
      </Name>
      <span className="col-span-2 text-right text-muted sm:col-span-4 sm:text-left">symbolic link</span>
    </li>
  );
}

function Name({ icon, depth, children }: { icon: ReactNode; depth: number; children: ReactNode }) {
  return (
    <span className="flex min-w-0 items-center gap-1.5" style={{ paddingLeft: depth * INDENT_PX }}>
      {icon}
      <span className="min-w-0 py-1 [overflow-wrap:anywhere] sm:truncate">{children}</span>
    </span>
  );
}
