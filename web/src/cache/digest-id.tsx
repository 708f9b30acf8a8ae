// A digest, short, with its copy button; the copy is what other tools take.
import { CopyButton } from "@/ui/copy";
import { digestText, type BlobRef } from "./digest";

const SHOWN_DIGITS = 10;

export function DigestId({ blob, of }: { blob: BlobRef; of: string }) {
  const text = digestText(blob);
  return (
    <span className="inline-flex items-center gap-0.5">
      <code className="text-muted" title={text}>
        {blob.hash.slice(0, SHOWN_DIGITS)}…
      </code>
      <CopyButton text={text} label={`Copy the digest of ${of}`} />
    </span>
  );
}
