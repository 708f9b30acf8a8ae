// Where the time of an execution went, from the timestamps of its result. Any of them may be missing or out of order.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { ExecutedActionMetadata } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";

export interface Phase {
  name: "Queued" | "Fetching inputs" | "Executing" | "Uploading outputs";
  ms: number;
}

export function phases(metadata: ExecutedActionMetadata | undefined): Phase[] {
  if (metadata === undefined) return [];
  const spans: [Phase["name"], Timestamp | undefined, Timestamp | undefined][] = [
    ["Queued", metadata.queuedTimestamp, metadata.workerStartTimestamp],
    ["Fetching inputs", metadata.inputFetchStartTimestamp, metadata.inputFetchCompletedTimestamp],
    ["Executing", metadata.executionStartTimestamp, metadata.executionCompletedTimestamp],
    ["Uploading outputs", metadata.outputUploadStartTimestamp, metadata.outputUploadCompletedTimestamp],
  ];
  return spans.flatMap(([name, from, to]) => {
    const ms = span(from, to);
    return ms === undefined ? [] : [{ name, ms }];
  });
}

/** Milliseconds with their fraction; undefined when an end is missing or lies before the beginning. */
function span(from: Timestamp | undefined, to: Timestamp | undefined): number | undefined {
  if (from === undefined || to === undefined) return undefined;
  const ms = Number(to.seconds - from.seconds) * 1000 + (to.nanos - from.nanos) / 1e6;
  return ms < 0 ? undefined : ms;
}
