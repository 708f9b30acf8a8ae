import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { ExecutedActionMetadataSchema } from "@/gen/build/bazel/remote/execution/v2/remote_execution_pb";
import { phases } from "./timings";

it("takes the spans that have both ends", () => {
  const at = (seconds: number, nanos = 0) => ({ seconds: BigInt(seconds), nanos });
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
    { name: "Queued", ms: 500 },
    { name: "Executing", ms: 1200 },
  ]);
  expect(phases(undefined)).toEqual([]);
});
