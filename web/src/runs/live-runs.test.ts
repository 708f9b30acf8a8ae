import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { RunSchema, State, type Run } from "@/gen/millrace/v1/pipeline_pb";
import { merge } from "./live-runs";

const run = (id: string, at: number, revision: bigint, state = State.RUNNING) => create(RunSchema, { id, revision, state, createdAt: timestampFromMs(at * 1000) });
const changes = (...runs: Run[]) => new Map(runs.map((each) => [each.id, each]));

it("lays changes over the list, the newer revision wins", () => {
  const merged = merge([run("b", 2, 5n), run("a", 1, 3n)], changes(run("b", 2, 4n, State.QUEUED), run("a", 1, 4n, State.SUCCESS)), false);
  expect(merged.map((each) => [each.id, each.state])).toEqual([["b", State.RUNNING], ["a", State.SUCCESS]]);
});

it("puts runs that began since in front, once", () => {
  const merged = merge([run("b", 2, 1n), run("a", 1, 1n), run("b", 2, 1n)], changes(run("c", 3, 1n), run("d", 4, 1n)), true);
  expect(merged.map((each) => each.id)).toEqual(["d", "c", "b", "a"]);
});

it("leaves an old run for its own page", () => {
  const merged = merge([run("b", 20, 1n)], changes(run("old", 1, 9n)), true);
  expect(merged.map((each) => each.id)).toEqual(["b"]);
  expect(merge([run("b", 20, 1n)], changes(run("old", 1, 9n)), false).map((each) => each.id)).toEqual(["b", "old"]);
});
