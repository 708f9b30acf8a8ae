// One run in a list.
import { Link } from "@tanstack/react-router";
import { isFinal, millis, State } from "@/api/state";
import type { Run } from "@/gen/millrace/v1/pipeline_pb";
import { StateLabel } from "@/ui/status";
import { Ago, Duration } from "@/ui/time";

export const RUN_ROW_PX = 52;

export function RunRow({ run }: { run: Run }) {
  return (
    <Link to="/runs/$runId" params={{ runId: run.id }} search={{}} className="grid h-13 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border-b px-3 hover:bg-panel sm:grid-cols-[132px_minmax(0,1fr)_120px_96px] sm:px-4">
      <span className="hidden sm:block">
        <RunState run={run} />
      </span>
      <span className="min-w-0">
        <span className="block truncate">
          <span className="font-medium">{runTitle(run)}</span> <span className="text-muted">#{String(run.number)}</span>
          {run.attempt > 1 && <span className="text-muted"> · attempt {run.attempt}</span>}
        </span>
        <span className="block truncate text-[12px] leading-4 text-muted">
          <span className="sm:hidden">
            <RunState run={run} />{" "}
          </span>
          {[run.message, run.project !== "default" ? run.project : "", run.event, run.actor === "" ? "" : `by ${run.actor}`].filter((part) => part !== "").join(" · ")}
        </span>
      </span>
      <span className="hidden text-muted sm:block">
        {run.jobsDone} of {run.jobsTotal} {run.jobsTotal === 1 ? "job" : "jobs"}
      </span>
      <span className="text-right text-muted">
        <span className="block">
          <Ago at={millis(run.createdAt)} />
        </span>
        <span className="block text-[12px] leading-4">
          <Duration from={millis(run.startedAt)} to={millis(run.finishedAt) ?? (isFinal(run.state) ? millis(run.startedAt) : undefined)} />
        </span>
      </span>
    </Link>
  );
}

export function runTitle(run: Run): string {
  return run.name !== "" ? run.name : run.fileName !== "" ? run.fileName : run.id;
}

export function RunState({ run }: { run: Run }) {
  return run.cancelling && !isFinal(run.state) ? <StateLabel state={State.RUNNING} word="Cancelling" /> : <StateLabel state={run.state} />;
}
