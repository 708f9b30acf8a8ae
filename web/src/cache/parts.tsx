// What the pages of an action and of a blob share: a head, sections, facts, and how they say that something is missing.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { buttonClass } from "@/ui/button";
import { CopyCurl } from "@/ui/copy";
import { DownloadIcon } from "@/ui/icons";
import { casPath, type BlobRef } from "./digest";
import { DigestId } from "./digest-id";

export function DetailHead({ title, blob, curl, children }: { title: string; blob: BlobRef; curl: () => string; children?: ReactNode }) {
  return (
    <header>
      <nav aria-label="Way back" className="text-muted">
        <Link to="/cache" search={blob.instance === "" ? {} : { instance: blob.instance }} className="text-link">
          Cache
        </Link>
        {blob.instance !== "" && ` / ${blob.instance}`}
      </nav>
      <div className="mt-0.5 flex flex-wrap items-center gap-x-3 gap-y-1">
        <h1>{title}</h1>
        <DigestId blob={blob} of="this page" />
        <span className="flex-1" />
        {children}
        <CopyCurl line={curl} />
      </div>
    </header>
  );
}

export function Section({ id, title, aside, children }: { id: string; title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section aria-labelledby={id} className="mt-6">
      <div className="flex min-h-7 flex-wrap items-center gap-x-3 border-b pb-1">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      <div className="mt-2">{children}</div>
    </section>
  );
}

export function Facts({ children }: { children: ReactNode }) {
  return <dl className="grid items-baseline grid-cols-[minmax(6rem,auto)_minmax(0,1fr)] gap-x-4 gap-y-1 sm:grid-cols-[10rem_minmax(0,1fr)]">{children}</dl>;
}

export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted">{label}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}

/** Something that is not there: what it is, and why that may be. */
export function Missing({ children }: { children: ReactNode }) {
  return <p className="rounded-md border border-dashed border-line-strong px-3 py-2 text-muted">{children}</p>;
}

export function Download({ blob, name, words = false }: { blob: BlobRef; name: string; words?: boolean }) {
  return (
    <a href={casPath(blob)} download={name} className={buttonClass(words ? "primary" : "quiet", !words)} aria-label={words ? undefined : `Download ${name}`} title={words ? undefined : `Download ${name}`}>
      <DownloadIcon />
      {words && "Download"}
    </a>
  );
}

export function baseName(path: string): string {
  return path.split("/").at(-1) ?? path;
}
