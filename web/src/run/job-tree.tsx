// The jobs of a run, a matrix under its own head, the chosen one with its steps.
import { useRights } from "@/api/session";
import { isFinal, millis, State, worst } from "@/api/state";
import type { Job, Run, Step } from "@/gen/millrace/v1/pipeline_pb";
import { Button } from "@/ui/button";
import { MoreIcon } from "@/ui/icons";
import { Menu, type MenuItem } from "@/ui/menu";
import { StateIcon, stateWord } from "@/ui/status";
import { Duration } from "@/ui/time";
import { copyText } from "@/ui/copy";
import { useRunActions } from "./run-header";
import { groupJobs } from "./selection";

export interface JobTreeProps {
  run: Run;
  job: Job | undefined;
  step: Step | undefined;
  summary: boolean;
  summaryOn: boolean;
  onSummary: () => void;
  onJob: (job: Job) => void;
  onStep: (job: Job, index: number) => void;
  onRun: (run: Run | undefined) => void;
  onProblem: (text: string) => void;
}

const ROW = "flex h-8 w-full min-w-0 items-center gap-2 rounded px-2 text-left";

export function JobTree(props: JobTreeProps) {
  const { run, summary, summaryOn, onSummary } = props;
  return (
    <div className="p-2">
      {summary && (
        <button type="button" onClick={onSummary} aria-current={summaryOn ? "true" : undefined} className={`${ROW} mb-1 ${summaryOn ? "bg-accent-soft font-medium" : "hover:bg-hover"}`}>
          Summary and messages
        </button>
      )}
      <ul>
        {groupJobs(run.jobs).map((group) =>
          group.jobs.length === 1 && group.jobs[0] !== undefined ? (
            <JobItem key={group.jobId} {...props} entry={group.jobs[0]} label={nameOf(group.jobs[0])} />
          ) : (
            <li key={group.jobId} className="mt-1">
              <div className="flex h-7 items-center gap-2 px-2 text-muted">
                <StateIcon state={worst(group.jobs.map((job) => job.state))} />
                <span className="truncate font-medium">{group.jobId}</span>
                <span className="ml-auto text-[12px]">
                  {group.jobs.filter((job) => isFinal(job.state)).length} of {group.jobs.length}
                </span>
              </div>
              <ul className="ml-3.5 border-l pl-1.5">
                {group.jobs.map((job) => (
                  <JobItem key={job.key} {...props} entry={job} label={matrixLabel(job)} />
                ))}
              </ul>
            </li>
          ),
        )}
      </ul>
    </div>
  );
}

function JobItem({ entry, label, ...props }: JobTreeProps & { entry: Job; label: string }) {
  const on = props.job?.key === entry.key;
  return (
    <li>
      <div className="group flex items-center">
        <button type="button" onClick={() => props.onJob(entry)} aria-expanded={on} className={`${ROW} ${on ? "font-medium" : "hover:bg-hover"}`} title={entry.message === "" ? entry.key : `${entry.key}: ${entry.message}`}>
          <StateIcon state={entry.state} />
          <span className="min-w-0 truncate">{label}</span>
          <span className="ml-auto shrink-0 pl-2 text-[12px] font-normal text-muted">{jobTime(entry)}</span>
        </button>
        <JobMenu {...props} entry={entry} />
      </div>
      {on && entry.steps.length > 0 && (
        <ol aria-label={`Steps of ${label}`} className="mb-1 ml-3.5 border-l pl-1.5">
          {entry.steps.map((step) => (
            <StepItem key={step.index} step={step} on={props.step?.index === step.index} onSelect={() => props.onStep(entry, step.index)} />
          ))}
        </ol>
      )}
    </li>
  );
}

function StepItem({ step, on, onSelect }: { step: Step; on: boolean; onSelect: () => void }) {
  return (
    <li>
      <button type="button" onClick={onSelect} aria-current={on ? "step" : undefined} data-step={step.index} title={step.message === "" ? step.name : `${step.name}: ${step.message}`} className={`flex h-7 w-full min-w-0 items-center gap-2 rounded px-2 text-left ${on ? "bg-accent-soft" : "hover:bg-hover"}`}>
        <StateIcon state={step.state} />
        <span className={`min-w-0 truncate ${step.state === State.SKIPPED || step.state === State.PENDING ? "text-muted" : ""}`}>{step.name}</span>
        {step.forgiven && <span className="text-[12px] text-warn">forgiven</span>}
        <span className="ml-auto shrink-0 pl-2 text-[12px] text-muted">
          {step.state !== State.SKIPPED && <Duration from={millis(step.startedAt)} to={millis(step.finishedAt) ?? (isFinal(step.state) ? millis(step.startedAt) : undefined)} />}
        </span>
      </button>
    </li>
  );
}

function JobMenu({ entry, run, onRun, onProblem }: JobTreeProps & { entry: Job }) {
  const rights = useRights();
  const actions = useRunActions(run, onRun, onProblem);
  const waits = entry.state === State.PENDING || entry.state === State.QUEUED || entry.state === State.HELD;
  const items: MenuItem[] = [
    ...(entry.state === State.HELD ? [{ label: "Approve", hint: entry.environment === "" ? "Starts this job" : `Starts it in ${entry.environment}`, disabled: !rights.run, onSelect: () => actions.approve(entry.key) }] : []),
    ...(waits ? [{ label: "Skip", hint: "It will not be run", disabled: !rights.run, onSelect: () => actions.skip(entry.key) }] : []),
    { label: "Copy the job's key", onSelect: () => void copyText(entry.key) },
  ];
  return (
    <Menu
      items={items}
      trigger={
        <Button look="quiet" square aria-label={`More about ${entry.key}`}>
          <MoreIcon />
        </Button>
      }
    />
  );
}

function jobTime(job: Job) {
  if (job.startedAt === undefined) return job.state === State.PENDING || job.state === State.QUEUED || job.state === State.HELD ? stateWord(job.state) : "";
  return <Duration from={millis(job.startedAt)} to={millis(job.finishedAt) ?? (isFinal(job.state) ? millis(job.startedAt) : undefined)} />;
}

function nameOf(job: Job): string {
  return job.name === "" ? job.key : job.name;
}

function matrixLabel(job: Job): string {
  const values = Object.values(job.matrix).join(", ");
  return values === "" ? nameOf(job) : values;
}
