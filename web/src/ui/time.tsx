// Times as people read them: relative, with the absolute one on hover; durations in human units. One clock for the page.
import { useSyncExternalStore } from "react";

const TICK_MS = 1_000;
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** How long ago. */
export function Ago({ at }: { at: number | undefined }) {
  const current = useNow(at !== undefined);
  if (at === undefined) return null;
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString()} className="whitespace-nowrap">
      {agoText(current - at)}
    </time>
  );
}

/** How long it took, or takes so far. */
export function Duration({ from, to }: { from: number | undefined; to: number | undefined }) {
  const current = useNow(from !== undefined && to === undefined);
  if (from === undefined) return null;
  return <span className="whitespace-nowrap">{durationText((to ?? current) - from)}</span>;
}

export function agoText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.floor(hours / 24);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

export function durationText(ms: number): string {
  if (ms < 0) return "0 s";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const two = (n: number) => String(n).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
}

export function useNow(ticking: boolean): number {
  return useSyncExternalStore(ticking ? subscribe : still, snapshot);
}

/** While nobody listened the clock stood. */
function snapshot(): number {
  const current = Date.now();
  if (timer === undefined && current - now > TICK_MS) now = current;
  return now;
}

function still() {
  return () => {};
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, TICK_MS);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}
