// Which job and step are shown: what the link says, or else what a reader most likely wants to see.
import { isFinal, State } from "@/api/state";
import type { Job, Run, Step } from "@/gen/millrace/v1/pipeline_pb";

/** Jobs made of one entry of the workflow file. */
export interface JobGroup {
  jobId: string;
  jobs: Job[];
}

export function groupJobs(jobs: readonly Job[]): JobGroup[] {
  const groups = new Map<string, JobGroup>();
  for (const job of jobs) {
    const group = groups.get(job.jobId) ?? { jobId: job.jobId, jobs: [] };
    group.jobs.push(job);
    groups.set(job.jobId, group);
  }
  return [...groups.values()];
}

/** The job of the link; else the one that failed, runs, waits, or was last. */
export function chooseJob(run: Run, key: string | undefined): Job | undefined {
  const named = run.jobs.find((job) => job.key === key);
  if (named !== undefined) return named;
  const ranks = isFinal(run.state) ? [State.FAILURE, State.CANCELLED, State.SUCCESS] : [State.RUNNING, State.FAILURE, State.HELD, State.QUEUED, State.SUCCESS];
  for (const state of ranks) {
    const found = run.jobs.find((job) => job.state === state);
    if (found !== undefined) return found;
  }
  return run.jobs[0];
}

/** The step of the link; else the one that failed or runs, or the last that did something. */
export function chooseStep(job: Job | undefined, index: number | undefined): Step | undefined {
  if (job === undefined) return undefined;
  const named = job.steps.find((step) => step.index === index);
  if (named !== undefined) return named;
  for (const state of [State.FAILURE, State.RUNNING, State.CANCELLED]) {
    const found = job.steps.find((step) => step.state === state && !step.forgiven);
    if (found !== undefined) return found;
  }
  return job.steps.findLast((step) => step.state === State.SUCCESS) ?? job.steps[0];
}
