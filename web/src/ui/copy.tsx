// Copying: ids, commands, any call as curl.
import { useEffect, useState } from "react";
import { Button, type Look } from "./button";
import { CheckIcon, CopyIcon, TerminalIcon } from "./icons";

const DONE_MS = 1_500;

/** Copies text; says so for a moment. */
export function CopyButton({ text, label, children, look = "quiet", icon = "copy" }: { text: string | (() => string); label: string; children?: string; look?: Look; icon?: "copy" | "terminal" }) {
  const [state, setState] = useState<"idle" | "done" | "failed">("idle");
  useEffect(() => {
    if (state === "idle") return;
    const timer = setTimeout(() => setState("idle"), DONE_MS);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async () => {
    setState((await copyText(typeof text === "string" ? text : text())) ? "done" : "failed");
  };
  const Icon = state === "done" ? CheckIcon : icon === "terminal" ? TerminalIcon : CopyIcon;
  return (
    <Button look={look} square={children === undefined} aria-label={label} title={state === "failed" ? "The browser did not allow it" : label} onClick={copy}>
      <Icon className={state === "done" ? "text-ok" : ""} />
      {children !== undefined && (state === "done" ? "Copied" : children)}
      <span role="status" className="sr-only">
        {state === "done" ? "Copied" : ""}
      </span>
    </Button>
  );
}

/** A page's call as curl. */
export function CopyCurl({ line }: { line: () => string }) {
  return <CopyButton text={line} label="Copy this page's call as curl" icon="terminal" />;
}

/** An id, short, with its copy button. */
export function Id({ id, label }: { id: string; label: string }) {
  return (
    <span className="inline-flex items-center gap-0.5">
      <code className="text-muted" title={id}>
        {id.length > 12 ? `${id.slice(0, 8)}…` : id}
      </code>
      <CopyButton text={id} label={`Copy ${label}`} />
    </span>
  );
}

/** A command to be copied. */
export function Command({ line, label }: { line: string; label: string }) {
  return (
    <div className="flex items-start gap-2 rounded-md border border-line bg-code py-1 pr-1 pl-2.5">
      <pre className="min-w-0 flex-1 overflow-x-auto py-1 leading-5" tabIndex={0} aria-label={label} role="region">
        {line}
      </pre>
      <CopyButton text={line} label={`Copy: ${label}`} />
    </div>
  );
}

/** True when the text is in the clipboard. On plain HTTP beyond loopback browsers have only the old way. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
