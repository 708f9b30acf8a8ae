import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { InvocationSchema, InvocationTimingSchema } from "@/gen/millrace/v1/invocation_pb";
import { attemptText, countsText, endOf, invocationTitle, isLive, Status, stretches, whoText } from "./standing";

const invocation = (init: MessageInitShape<typeof InvocationSchema>) => create(InvocationSchema, init);

it("names a build", () => {
  expect(invocationTitle(invocation({ tool: "bazel 4.2.3", command: "test", patterns: ["//a", "//b/..."] }))).toBe("bazel test //a //b/...");
  expect(invocationTitle(invocation({ id: "0123456789" }))).toBe("Invocation 01234567");
  expect(whoText({ user: "ada", host: "mill-3" })).toBe("ada@mill-3");
  expect(whoText({ user: "", host: "mill-3" })).toBe("mill-3");
});

it("counts in words", () => {
  expect(countsText(invocation({}))).toBe("");
  expect(countsText(invocation({ targets: { configured: 3n, built: 1n, failed: 2n }, tests: { total: 4n, passed: 2n, flaky: 1n, cached: 2n } }))).toBe("1 target built, 2 not built · 3 of 4 tests passed, 1 flaky, 2 cached");
  expect(attemptText({ run: 0, shard: 0, attempt: 1 }, 0)).toBe("attempt 1");
  expect(attemptText({ run: 2, shard: 1, attempt: 3 }, 4)).toBe("run 2, shard 1 of 4, attempt 3");
});

it("knows when it ended", () => {
  const updatedAt = timestampFromMs(5_000);
  expect(endOf(invocation({ status: Status.RUNNING, updatedAt }))).toBeUndefined();
  expect(endOf(invocation({ status: Status.DISCONNECTED, updatedAt }))).toBe(5_000);
  expect(endOf(invocation({ status: Status.FAILED, updatedAt, finishedAt: timestampFromMs(4_000) }))).toBe(4_000);
  expect(isLive(invocation({ status: Status.SUCCEEDED }))).toBe(true);
  expect(isLive(invocation({ status: Status.SUCCEEDED, complete: true }))).toBe(false);
});

it("lays out its phases", () => {
  expect(stretches(create(InvocationTimingSchema, { analysisMs: 400n, actionsStartMs: 450n, executionMs: 2_000n }))).toEqual([
    { name: "Analysis", start: 0, ms: 400 },
    { name: "Actions", start: 450, ms: 2000 },
  ]);
  expect(stretches(undefined)).toEqual([]);
});
