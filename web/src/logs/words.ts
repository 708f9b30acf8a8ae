// What the log room says of itself, in words: how long logs are kept, what the last sweep did, what a log is of. Knows no page.
import { LogUsage_Kind as Kind, type LogRetention, type LogSweep } from "@/gen/millrace/v1/log_pb";
import { bytesText, countText } from "@/ui/bytes";

const HOUR_SECS = 3_600;
const DAY_SECS = 24 * HOUR_SECS;

/** "90 days", "36 hours", "90 s". */
export function spanText(seconds: bigint | number): string {
  const secs = Number(seconds);
  for (const [size, word] of [[DAY_SECS, "day"], [HOUR_SECS, "hour"], [60, "minute"]] as const) {
    if (secs >= size && (secs % size === 0 || secs >= size * 48)) {
      const count = Math.round(secs / size);
      return `${countText(count)} ${word}${count === 1 ? "" : "s"}`;
    }
  }
  return `${secs} s`;
}

/** How long logs are kept, a sentence each. */
export function retentionLines(retention: LogRetention | undefined, logMaxBytes: bigint): string[] {
  const { ageSeconds = 0n, count = 0n, sizeBytes = 0n, namedLogBytes = 0n, namedLogAgeSeconds = 0n, abandonedSeconds = 0n } = retention ?? {};
  const logs = [ageSeconds > 0n ? `${spanText(ageSeconds)} after their end` : "", count > 0n ? `the newest ${countText(count)} runs, builds and streams of each project` : "", sizeBytes > 0n ? `at most ${bytesText(sizeBytes)} a project` : ""].filter((part) => part !== "");
  const records = [namedLogAgeSeconds > 0n ? `${spanText(namedLogAgeSeconds)}` : "", namedLogBytes > 0n ? `at most ${bytesText(namedLogBytes)} a log` : ""].filter((part) => part !== "");
  return [
    `Logs are kept ${logs.length === 0 ? "for ever" : logs.join(", ")}.`,
    `Records of named logs are kept ${records.length === 0 ? "for ever" : records.join(", ")}; the oldest go first.`,
    ...(abandonedSeconds > 0n ? [`A log that nobody ends is ended ${spanText(abandonedSeconds)} after its last line.`] : []),
    ...(logMaxBytes > 0n ? [`One log takes up to ${bytesText(logMaxBytes)}; what comes then is dropped, and a line of the log says so.`] : []),
  ];
}

/** What the last sweep removed: "12 logs for their age", … Empty: nothing. */
export function sweepParts(sweep: LogSweep): string[] {
  const parts: [bigint, string, string][] = [
    [sweep.removedForAge, "log", "removed for age"],
    [sweep.removedForCount, "log", "removed for the number of runs"],
    [sweep.removedForSize, "log", "removed for size"],
    [sweep.removedRecords, "record", "removed"],
    [sweep.endedLogs, "abandoned log", "ended"],
  ];
  return parts.filter(([count]) => count > 0n).map(([count, what, done]) => `${countText(count)} ${what}${count === 1n ? "" : "s"} ${done}`);
}

const KIND_WORDS: Partial<Record<Kind, string>> = {
  [Kind.JOB]: "Steps of pipelines",
  [Kind.STREAM]: "Streams: remote actions, LogStream",
  [Kind.BUILD]: "What builds printed",
  [Kind.RECORDS]: "Named logs",
};

export function kindWord(kind: Kind): string {
  return KIND_WORDS[kind] ?? "Others";
}

/** How much smaller it is on the disk: "8.3 ×"; empty where there is nothing to say. */
export function ratioText(size: bigint, stored: bigint): string {
  if (size === 0n || stored === 0n) return "";
  const ratio = Number(size) / Number(stored);
  return `${ratio.toFixed(ratio < 10 ? 1 : 0)} ×`;
}

/** The id of a log in whatever a person pastes: the id, a link of ours, or a raw path. Empty: none. */
export function logIdIn(text: string): string {
  const found = /\/logs\/([^/?#\s]+)/.exec(text);
  const id = found?.[1] ?? text.trim();
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** The name in the id of a named log, "r.{hash of the project}.{name}". */
export function recordsName(logId: string): string | undefined {
  return /^r\.[0-9a-f]{16}\.(.+)$/.exec(logId)?.[1];
}

/** The run in the id of a step's log, "{run}.{stage}.{job}.{step}…". */
export function runOf(logId: string): string | undefined {
  return /^([0-9a-f]{8}-[0-9a-f-]{27})\.\d+\.\d+\./.exec(logId)?.[1];
}
