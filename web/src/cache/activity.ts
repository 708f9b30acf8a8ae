// What the counts of the cache's activity mean: rates, sums, and the columns that a plot takes. Numbers only.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { CacheActivity } from "@/gen/millrace/v1/cache_pb";

/** How far back, by the name that stands in the link. Steps are whole minutes. */
export const WINDOWS = {
  "1h": { label: "1 h", words: "the last hour", seconds: 3_600, steps: 60 },
  "24h": { label: "24 h", words: "the last 24 hours", seconds: 86_400, steps: 96 },
  "7d": { label: "7 d", words: "the last 7 days", seconds: 604_800, steps: 84 },
  "30d": { label: "30 d", words: "the last 30 days", seconds: 2_592_000, steps: 90 },
} as const;

export type WindowName = keyof typeof WINDOWS;
export const WINDOW_NAMES = Object.keys(WINDOWS) as WindowName[];
export const WINDOW_DEFAULT: WindowName = "24h";

type Counts = Pick<CacheActivity, "actionHits" | "actionMisses" | "keyHits" | "keyMisses">;

/** Actions and keys found. */
export function hits(counts: Counts | undefined): number {
  return counts === undefined ? 0 : Number(counts.actionHits + counts.keyHits);
}

/** Actions and keys asked for. */
export function lookups(counts: Counts | undefined): number {
  return counts === undefined ? 0 : hits(counts) + Number(counts.actionMisses + counts.keyMisses);
}

/** The share of lookups that found something, 0 to 1; undefined when nothing was asked. */
export function hitRate(counts: Counts | undefined): number | undefined {
  const all = lookups(counts);
  return all === 0 ? undefined : hits(counts) / all;
}

/** "83 %"; never "100 %" while something was missed, nor "0 %" while something was found. */
export function rateText(rate: number | undefined): string {
  if (rate === undefined) return "–";
  const percent = rate * 100;
  if (percent > 99 && percent < 100) return `${Math.min(99.9, percent).toFixed(1)} %`;
  if (percent > 0 && percent < 1) return `${Math.max(0.1, percent).toFixed(1)} %`;
  return `${Math.round(percent)} %`;
}

/** Whether anything at all went through the cache. */
export function isUsed(counts: CacheActivity | undefined): boolean {
  return counts !== undefined && (lookups(counts) > 0 || counts.actionUpdates + counts.blobsPresent + counts.blobsMissing + counts.bytesRead + counts.bytesWritten > 0n);
}

/** Columns for a plot: times in seconds, hit rate in percent (null: nothing was asked), found, asked. */
export interface Columns {
  times: number[];
  rates: (number | null)[];
  found: number[];
  asked: number[];
}

export function columns(steps: readonly CacheActivity[]): Columns {
  const made: Columns = { times: [], rates: [], found: [], asked: [] };
  for (const step of steps) {
    const rate = hitRate(step);
    made.times.push(seconds(step.startTime));
    made.rates.push(rate === undefined ? null : rate * 100);
    made.found.push(hits(step));
    made.asked.push(lookups(step));
  }
  return made;
}

/** The plot in a sentence, for those who can't see it. */
export function summary(steps: readonly CacheActivity[], total: CacheActivity | undefined, words: string): string {
  const all = lookups(total);
  if (all === 0) return `Nothing was asked of the cache in ${words}.`;
  const rates = steps.map(hitRate).filter((rate) => rate !== undefined);
  const low = Math.min(...rates);
  const high = Math.max(...rates);
  const spread = rates.length < 2 || low === high ? "" : `, between ${rateText(low)} and ${rateText(high)}`;
  return `Hit rate in ${words}: ${rateText(hitRate(total))}${spread}; ${hits(total)} of ${all} lookups found something.`;
}

function seconds(time: Timestamp | undefined): number {
  return time === undefined ? 0 : Number(time.seconds);
}
