// A file that a build made: a link where it is in this server's cache, its text where the event held it, else where the
// build tool says it is.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { functionNamed, inferFunction, linkSearch, type BlobRef } from "@/cache/digest";
import { Download } from "@/cache/parts";
import { Preview } from "@/cache/preview";
import type { BuildFile } from "@/gen/millrace/v1/invocation_pb";
import { bytesText } from "@/ui/bytes";
import { Button } from "@/ui/button";

/** The blob that it is, where it is one. */
export function blobOf(file: BuildFile): BlobRef | undefined {
  if (file.hash === "" || file.digestFunction === "") return undefined;
  return { instance: file.instance, fn: functionNamed(file.digestFunction) ?? inferFunction(file.hash) ?? "sha256", hash: file.hash, size: file.sizeBytes };
}

/** In a line: its name, its size, a way to have it, and, if wanted, its beginning beneath. */
export function FileLine({ file, unfolds = false }: { file: BuildFile; unfolds?: boolean }) {
  const [open, setOpen] = useState(false);
  const blob = blobOf(file);
  const name = file.name.split("/").at(-1) ?? file.name;
  const shows = unfolds && (blob !== undefined || file.text !== "");
  return (
    <li className="min-w-0">
      <div className="flex min-h-7 flex-wrap items-center gap-x-2">
        {blob !== undefined ? (
          <Link to="/blobs/$hash" params={{ hash: blob.hash }} search={{ ...linkSearch(blob), name }} preload={false} className="text-link [overflow-wrap:anywhere]">
            {file.name}
          </Link>
        ) : (
          <span className="[overflow-wrap:anywhere]">{file.name}</span>
        )}
        {file.sizeBytes > 0n && <span className="text-muted">{bytesText(file.sizeBytes)}</span>}
        {blob === undefined && file.uri !== "" && (
          <code className="min-w-0 text-muted [overflow-wrap:anywhere]" title="Where the build tool says it is; not in this server's cache">
            {file.uri}
          </code>
        )}
        {shows && (
          <Button look="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? "Hide" : "Show"}
          </Button>
        )}
        {blob !== undefined && <Download blob={blob} name={name} />}
      </div>
      {open && <Beginning file={file} />}
    </li>
  );
}

/** What is in it, or its beginning. */
export function Beginning({ file }: { file: BuildFile }) {
  const blob = blobOf(file);
  if (file.text !== "")
    return (
      <pre className="max-h-80 overflow-auto rounded-md border bg-code p-2.5 leading-5 whitespace-pre-wrap [overflow-wrap:anywhere]" tabIndex={0} role="region" aria-label={`${file.name}, text`}>
        {file.text}
      </pre>
    );
  if (blob === undefined) return null;
  return <Preview blob={blob} name={file.name} label={file.name} />;
}
