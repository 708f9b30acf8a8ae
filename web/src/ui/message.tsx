// What a page says when there is nothing, or when something went wrong: what it is, and what to do next.
import type { ReactNode } from "react";

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="px-4 py-12 text-center">
      <p className="font-medium">{title}</p>
      <div className="mx-auto mt-1 max-w-md text-muted">{children}</div>
    </div>
  );
}

export function Alert({ children, tone = "bad" }: { children: ReactNode; tone?: "bad" | "warn" }) {
  return (
    <div role="alert" className={`flex items-start gap-2 rounded-md border px-3 py-1.5 ${tone === "bad" ? "border-bad/40 bg-bad-soft text-bad" : "border-warn/40 bg-warn-soft text-warn"}`}>
      <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" aria-hidden="true" className="mt-0.5 shrink-0">
        <path d="M8 2 1.5 13.5h13L8 2zM8 6.5v3.200M8 11.600h.01" strokeLinejoin="round" />
      </svg>
      <div className="min-w-0 flex-1 break-words">{children}</div>
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className="px-4 py-12 text-center text-muted">
      Loading {what} …
    </p>
  );
}
