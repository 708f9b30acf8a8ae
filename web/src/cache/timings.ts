// Where the time of an execution went, from the timestamps of its result. Any of them may be missing or out of order.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ExecutedActionMetadata } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";

export type PhaseName = "Queued" | "Fetching inputs" | "Executing" | "Uploading outputs";

/** A stretch of time: milliseconds since the first one began. */
export interface Stretch {
  name: string;
  start: number;
  ms: number;
  /** It goes on. */
  open?: boolean;
}

export interface Phase extends Stretch {
  name: PhaseName;
}

/** A stretch by its ends; without a second one it goes on. */
export type Ends = [name: PhaseName, from: Timestamp | undefined, to: Timestamp | undefined];

export function phases(metadata: ExecutedActionMetadata | undefined): Phase[] {
  if (metadata === undefined) return [];
  const spans: Ends[] = [
    ["Queued", metadata.queuedTimestamp, metadata.workerStartTimestamp],
    ["Fetching inputs", metadata.inputFetchStartTimestamp, metadata.inputFetchCompletedTimestamp],
    ["Executing", metadata.executionStartTimestamp, metadata.executionCompletedTimestamp],
    ["Uploading outputs", metadata.outputUploadStartTimestamp, metadata.outputUploadCompletedTimestamp],
  ];
  return laid(spans.filter(([, from, to]) => from !== undefined && to !== undefined && since(from, to) >= 0));
}

/** Stretches laid beside each other; `now` ends those that go on. Those without a beginning are left out. */
export function laid(spans: readonly Ends[], now?: Timestamp): Phase[] {
  const begun = spans.flatMap(([name, from, to]) => (from === undefined ? [] : [{ name, from, to }]));
  const first = begun.map(({ from }) => from).reduce<Timestamp | undefined>((least, from) => (least === undefined || since(least, from) < 0 ? from : least), undefined);
  if (first === undefined) return [];
  return begun.flatMap(({ name, from, to }) => {
    const end = to ?? now;
    if (end === undefined) return [];
    return [{ name, start: since(first, from), ms: Math.max(0, since(from, end)), ...(to === undefined ? { open: true } : {}) }];
  });
}

/** From the beginning of the first to the end of the last. */
export function wholeMs(parts: readonly Stretch[]): number {
  return Math.max(0, ...parts.map((part) => part.start + part.ms));
}

/** Milliseconds with their fraction. */
function since(from: Timestamp, to: Timestamp): number {
  return Number(to.seconds - from.seconds) * 1000 + (to.nanos - from.nanos) / 1e6;
}
