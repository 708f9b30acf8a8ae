import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { JobSchema, RunSchema, State } from "@/gen/millrace/v1/pipeline_pb";
import { chooseJob, chooseStep, groupJobs } from "./selection";

const job = (key: string, state: State, steps: State[] = []) => create(JobSchema, { key, jobId: key.split(" ")[0] ?? key, state, steps: steps.map((each, index) => ({ index, state: each })) });
const run = (state: State, jobs: ReturnType<typeof job>[]) => create(RunSchema, { state, jobs });

it("puts the jobs of a matrix together", () => {
  const groups = groupJobs([job("a", State.SUCCESS), job("m (1)", State.SUCCESS), job("b", State.SUCCESS), job("m (2)", State.SUCCESS)]);
  expect(groups.map((group) => [group.jobId, group.jobs.length])).toEqual([["a", 1], ["m", 2], ["b", 1]]);
});

it.each([
  ["the one of the link", State.FAILURE, "a", "a"],
  ["the failed one when the link leads nowhere", State.FAILURE, "gone", "b"],
  ["the failed one of a run that is over", State.FAILURE, undefined, "b"],
  ["the running one of a run that goes on", State.RUNNING, undefined, "c"],
])("chooses %s", (_name, state, key, chosen) => {
  const jobs = [job("a", State.SUCCESS), job("b", State.FAILURE), job("c", state === State.RUNNING ? State.RUNNING : State.SKIPPED)];
  expect(chooseJob(run(state, jobs), key)?.key).toBe(chosen);
});

it("chooses the step that failed, or runs, or came last", () => {
  expect(chooseStep(job("a", State.FAILURE, [State.SUCCESS, State.FAILURE, State.SUCCESS]), undefined)?.index).toBe(1);
  expect(chooseStep(job("a", State.RUNNING, [State.SUCCESS, State.RUNNING, State.QUEUED]), undefined)?.index).toBe(1);
  expect(chooseStep(job("a", State.SUCCESS, [State.SUCCESS, State.SUCCESS, State.SKIPPED]), undefined)?.index).toBe(1);
  expect(chooseStep(job("a", State.SUCCESS, [State.SUCCESS, State.SUCCESS]), 0)?.index).toBe(0);
  expect(chooseStep(job("a", State.QUEUED, []), undefined)).toBeUndefined();
});
