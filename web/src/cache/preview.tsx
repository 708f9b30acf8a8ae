// The beginning of a blob as text, as a text node: what is in it is never taken for a page.
import { errorText } from "@/api/transport";
import { bytesText } from "@/ui/bytes";
import { Alert } from "@/ui/message";
import type { BlobRef } from "./digest";
import { Download, Missing } from "./parts";
import { PREVIEW_MAX_BYTES, useBlob, type Read } from "./read";
import { asText } from "./text";

export function Preview({ blob, name, label }: { blob: BlobRef; name: string; label: string }) {
  const { data, error } = useBlob(blob, PREVIEW_MAX_BYTES);
  if (error !== null) return <Alert>{errorText(error)}</Alert>;
  if (data === undefined) return <p className="text-muted">Reading …</p>;
  if (!data.here) return <Missing>{label} is not in the cache any more: it was evicted, or never uploaded. Build again to have it back.</Missing>;
  return <Shown read={data} blob={blob} name={name} label={label} />;
}

export function Shown({ read, blob, name, label }: { read: Extract<Read, { here: true }>; blob?: BlobRef; name: string; label: string }) {
  const text = asText(read.bytes);
  if (read.size === 0n) return <p className="text-muted">{label} is empty.</p>;
  if (text === undefined) return <p className="text-muted">{label} is not text ({bytesText(read.size)}). {blob !== undefined && "Download it to look at it."}</p>;
  const cut = read.size > BigInt(read.bytes.length);
  return (
    <>
      <pre className="max-h-[32rem] overflow-auto rounded-md border bg-code p-2.5 leading-5 whitespace-pre-wrap [overflow-wrap:anywhere]" tabIndex={0} role="region" aria-label={`${label}, text`}>
        {text}
      </pre>
      {cut && (
        <p className="mt-1 flex items-center gap-2 text-muted">
          The first {bytesText(read.bytes.length)} of {bytesText(read.size)}. {blob !== undefined && <Download blob={blob} name={name} />}
        </p>
      )}
    </>
  );
}
