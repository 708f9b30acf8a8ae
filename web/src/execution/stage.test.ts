import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { State } from "@/api/state";
import { ExecutionSchema } from "@/gen/millrace/v1/queue_pb";
import { actionOf, codeName, executionTitle, livePhases, Stage, standing } from "./stage";

const execution = (init: MessageInitShape<typeof ExecutionSchema>) => create(ExecutionSchema, init);

it("says how it ended", () => {
  expect(standing(execution({ stage: Stage.DONE }))).toEqual([State.SUCCESS, "Succeeded"]);
  expect(standing(execution({ stage: Stage.DONE, exitCode: 2 }))).toEqual([State.FAILURE, "Exit code 2"]);
  expect(standing(execution({ stage: Stage.DONE, statusCode: 1 }))).toEqual([State.CANCELLED, "Cancelled"]);
  expect(standing(execution({ stage: Stage.DONE, statusCode: 4, exitCode: 0 }))).toEqual([State.FAILURE, "Timed out"]);
  expect(standing(execution({ stage: Stage.INPUT_FETCH }))).toEqual([State.RUNNING, "Fetching inputs"]);
  expect([1, 4, 9, 16, 99].map(codeName)).toEqual(["CANCELLED", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION", "UNAUTHENTICATED", "code 99"]);
});

it("names the action, and itself", () => {
  const hash = "ab".repeat(32);
  expect(actionOf(execution({ instance: "a/b", digestFunction: "blake3", actionHash: hash, actionSizeBytes: 12n }))).toEqual({ instance: "a/b", fn: "blake3", hash, size: 12n });
  expect(actionOf(execution({ actionHash: hash }))).toEqual({ instance: "", fn: "sha256", hash });
  expect(executionTitle(execution({ mnemonic: "CppCompile", target: "//a", command: "gcc" }))).toBe("CppCompile //a");
  expect(executionTitle(execution({ command: "gcc -c" }))).toBe("gcc -c");
  expect(executionTitle(execution({ actionHash: hash }))).toBe("Action ababababab");
});

it("lays out what is known while it goes on", () => {
  const at = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 0 });
  expect(livePhases(execution({ queuedAt: at(1) }), 4_000)).toEqual([{ name: "Queued", start: 0, ms: 3000, open: true }]);
  expect(livePhases(execution({ queuedAt: at(1), claimedAt: at(2), startedAt: at(4) }), 9_000)).toEqual([
    { name: "Queued", start: 0, ms: 1000 },
    { name: "Fetching inputs", start: 1000, ms: 2000 },
    { name: "Executing", start: 3000, ms: 5000, open: true },
  ]);
  // Cancelled while it waited.
  expect(livePhases(execution({ queuedAt: at(1), finishedAt: at(3) }), 9_000)).toEqual([{ name: "Queued", start: 0, ms: 2000 }]);
});
