// What is shown of the chosen step: how it stands, and its log; or why there is none.
import { Link } from "@tanstack/react-router";
import { isFinal, millis, State } from "@/api/state";
import type { Job, Step } from "@/gen/millrace/v1/pipeline_pb";
import { LogPane } from "@/log/log-pane";
import type { FindSearch } from "@/log/query";
import { Empty } from "@/ui/message";
import { StateLabel, stateWord } from "@/ui/status";
import { Ago, Duration } from "@/ui/time";

export interface StepPaneProps {
  job: Job;
  step: Step | undefined;
  lines: string | undefined;
  search: FindSearch;
  onSearch: (search: FindSearch) => void;
  onLines: (lines: string | undefined) => void;
  /** The reader stopped at something: this step stays, whatever the run does. */
  onStay: () => void;
  onUnauthenticated: () => void;
}

export function StepPane({ job, step, lines, search, onLines, onSearch, onStay, onUnauthenticated }: StepPaneProps) {
  const jobName = job.name === "" ? job.key : job.name;
  return (
    <div className="flex min-h-[80vh] min-w-0 flex-1 flex-col lg:min-h-0">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-0.5 border-b px-3 py-1.5">
        <h2 className="min-w-0 truncate">
          {jobName}
          {step !== undefined && <span className="text-muted"> / </span>}
          {step?.name}
        </h2>
        {step !== undefined && <StateLabel state={step.state} />}
        <span className="text-muted">
          <Duration from={step?.state === State.SKIPPED ? undefined : millis(step?.startedAt)} to={millis(step?.finishedAt) ?? (step !== undefined && isFinal(step.state) ? millis(step.startedAt) : undefined)} />
        </span>
        {step?.exitCode !== undefined && step.exitCode !== 0 && !step.message.includes(String(step.exitCode)) && <span className="text-bad">exit code {step.exitCode}</span>}
        {step?.forgiven === true && <span className="text-warn">the failure was forgiven (continue-on-error)</span>}
        {job.runnerName !== "" && (
          <span className="text-muted">
            on{" "}
            <Link to="/runners" className="text-link">
              {job.runnerName}
            </Link>
          </span>
        )}
        {job.executions > 1 && (
          <span className="text-warn" title="A runner was lost, the job was given to another">
            given out {job.executions} times
          </span>
        )}
      </div>
      {step?.message !== undefined && step.message !== "" && <p className={`border-b px-3 py-1.5 break-words ${step.state === State.FAILURE ? "bg-bad-soft text-bad" : "bg-warn-soft text-warn"}`}>{step.message}</p>}
      {step !== undefined && hasLog(step) ? (
        <LogPane
          logId={step.logId}
          title={`${jobName}, ${step.name}`}
          live={!isFinal(step.state)}
          failed={step.state === State.FAILURE || step.forgiven}
          origin={millis(step.startedAt) ?? 0}
          lines={lines}
          onLines={onLines}
          search={search}
          onSearch={onSearch}
          onStay={onStay}
          onUnauthenticated={onUnauthenticated}
        />
      ) : (
        <NoLog job={job} step={step} />
      )}
    </div>
  );
}

/** A step has a log once it has begun. */
function hasLog(step: Step): boolean {
  return step.logId !== "" && ![State.UNSPECIFIED, State.PENDING, State.QUEUED, State.HELD, State.SKIPPED].includes(step.state);
}

function NoLog({ job, step }: { job: Job; step: Step | undefined }) {
  const state = step === undefined || !isFinal(job.state) ? job.state : step.state;
  const why = job.message === "" ? undefined : job.message;
  if (isFinal(state)) return <Empty title={`${stateWord(state)}: there is no log`}>{why ?? "It was not run."}</Empty>;
  if (job.state === State.RUNNING) return <Empty title="This step has not begun">The steps before it come first. Its log appears here by itself.</Empty>;
  return (
    <Empty title={WAITS[job.state] ?? "This job has not begun"}>
      {why !== undefined && <p>{why}</p>}
      {job.state === State.QUEUED && (
        <p>
          It waits for a runner with the {job.runsOn.length === 1 ? "label" : "labels"} <code className="text-ink">{job.runsOn.join(", ") || "(any)"}</code>. <Link to="/runners" className="text-link">See the runners</Link>.
        </p>
      )}
      {job.needs.length > 0 && job.state === State.PENDING && why === undefined && <p>It needs {job.needs.join(", ")}.</p>}
      {job.queuedAt !== undefined && (
        <p>
          Ready <Ago at={millis(job.queuedAt)} />.
        </p>
      )}
    </Empty>
  );
}

const WAITS: Partial<Record<State, string>> = {
  [State.PENDING]: "This job waits for others",
  [State.HELD]: "This job waits for approval",
  [State.QUEUED]: "This job waits for a runner",
};
