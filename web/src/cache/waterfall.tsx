// Where the time went: a row a stretch, each bar where it began, on one scale.
import { durationText } from "@/ui/time";
import { wholeMs, type Stretch } from "./timings";

/** Others have the accent. */
const COLOURS: Record<string, string> = { Queued: "bg-muted", Analysis: "bg-held", "Fetching inputs": "bg-held", "Uploading outputs": "bg-warn" };

export function Waterfall({ parts, least = 0 }: { parts: readonly Stretch[]; least?: number }) {
  const whole = Math.max(least, wholeMs(parts));
  const share = (ms: number) => (whole === 0 ? 0 : (ms / whole) * 100);
  return (
    <div className="max-w-3xl">
      <ul aria-label="Timing">
        {parts.map((part) => (
          <li key={part.name} className="grid grid-cols-[8.5rem_minmax(0,1fr)_5rem] items-center gap-x-2" title={`begins after ${durationText(part.start)}`}>
            <span className="truncate text-muted">{part.name}</span>
            <span className="relative h-2.5 overflow-hidden rounded-sm bg-panel" aria-hidden="true">
              <span className={`absolute inset-y-0 min-w-0.5 rounded-sm ${COLOURS[part.name] ?? "bg-accent"}`} style={{ left: `${Math.min(99.5, share(part.start))}%`, width: `${share(part.ms)}%` }} />
            </span>
            <span className={`text-right ${part.open === true ? "text-run" : ""}`}>
              {durationText(part.ms)}
              {part.open === true && " …"}
            </span>
          </li>
        ))}
      </ul>
      <p className="mt-0.5 grid grid-cols-[8.5rem_minmax(0,1fr)_5rem] gap-x-2 border-t pt-0.5">
        <span className="text-muted">Altogether</span>
        <span />
        <span className="text-right">{durationText(whole)}</span>
      </p>
    </div>
  );
}
