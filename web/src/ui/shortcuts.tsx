// Keyboard shortcuts: what is registered works, and stands in the "?" dialog.
import { useEffect, useEffectEvent, useSyncExternalStore } from "react";
import { Dialog } from "./dialog";

interface Shortcut {
  keys: string;
  what: string;
  run: () => void;
}

const SEQUENCE_MS = 900;
let active: readonly Shortcut[] = [];
const listeners = new Set<() => void>();
let prefix = "";
let prefixAt = 0;

/** While the component is there, `keys` ("t", or "g r" one after the other) does something. */
export function useShortcut(keys: string, what: string, run: () => void): void {
  const onRun = useEffectEvent(run);
  useEffect(() => {
    const shortcut = { keys, what, run: () => onRun() };
    change([...active, shortcut]);
    return () => change(active.filter((each) => each !== shortcut));
  }, [keys, what]);
}

/** Listens; once, at the root of the page. */
export function useShortcutKeys(): void {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

export function ShortcutDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const all = useSyncExternalStore(subscribe, () => active);
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard shortcuts">
      <dl className="grid gap-x-8 sm:grid-cols-2">
        {all.map((shortcut) => (
          <div key={shortcut.keys} className="flex items-center justify-between gap-4 border-t py-1.5">
            <dt>{shortcut.what}</dt>
            <dd className="flex gap-1">
              {shortcut.keys.split(" ").map((key, i) => (
                <kbd key={i}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
        {[
          ["Home End", "Log: beginning, end"],
          ["Shift click", "Log: mark a range of lines"],
          ["Esc", "Close what is open"],
        ].map(([keys = "", what]) => (
          <div key={keys} className="flex items-center justify-between gap-4 border-t py-1.5">
            <dt>{what}</dt>
            <dd className="flex gap-1">
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  const now = Date.now();
  const keys = prefix !== "" && now - prefixAt < SEQUENCE_MS ? `${prefix} ${event.key}` : event.key;
  prefix = "";
  // The one registered last is the one on the page in front.
  const hit = active.findLast((shortcut) => shortcut.keys === keys);
  if (hit !== undefined) {
    event.preventDefault();
    hit.run();
  } else if (active.some((shortcut) => shortcut.keys.startsWith(`${event.key} `))) {
    prefix = event.key;
    prefixAt = now;
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.closest("input, textarea, select, [contenteditable], [role=dialog], [role=menu]") !== null);
}

function change(next: readonly Shortcut[]): void {
  active = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
