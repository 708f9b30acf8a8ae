import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { ExecutedActionMetadataSchema } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { laid, phases, wholeMs } from "./timings";

const at = (seconds: number, nanos = 0) => ({ seconds: BigInt(seconds), nanos });

it("takes the spans that have both ends, from the first beginning on", () => {
  const metadata = create(ExecutedActionMetadataSchema, {
    queuedTimestamp: at(10),
    workerStartTimestamp: at(10, 500_000_000),
    executionStartTimestamp: at(11, 900_000_000),
    executionCompletedTimestamp: at(13, 100_000_000),
    inputFetchStartTimestamp: at(11),
    outputUploadStartTimestamp: at(14),
    outputUploadCompletedTimestamp: at(13),
  });
  expect(phases(metadata)).toEqual([
    { name: "Queued", start: 0, ms: 500 },
    { name: "Executing", start: 1900, ms: 1200 },
  ]);
  expect(wholeMs(phases(metadata))).toBe(3100);
  expect(phases(undefined)).toEqual([]);
  expect(wholeMs([])).toBe(0);
});

it("counts from the earliest, whatever comes first", () => {
  const stamps = (seconds: number) => at(seconds) as Timestamp;
  expect(laid([["Queued", stamps(5), stamps(6)], ["Executing", stamps(3), stamps(4)]])).toEqual([
    { name: "Queued", start: 2000, ms: 1000 },
    { name: "Executing", start: 0, ms: 1000 },
  ]);
});

it("ends what goes on now, and leaves out what has not begun", () => {
  const stamps = (seconds: number) => at(seconds) as Timestamp;
  expect(laid([["Queued", stamps(3), stamps(4)], ["Executing", stamps(4), undefined], ["Uploading outputs", undefined, undefined]], stamps(9))).toEqual([
    { name: "Queued", start: 0, ms: 1000 },
    { name: "Executing", start: 1000, ms: 5000, open: true },
  ]);
  expect(laid([["Executing", stamps(4), undefined]])).toEqual([]);
  // The clock of the reader is behind the server's.
  expect(laid([["Executing", stamps(4), undefined]], stamps(1))).toEqual([{ name: "Executing", start: 0, ms: 0, open: true }]);
});
