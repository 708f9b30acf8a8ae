// One execution in a list: how it stands, what it runs, where, and for how long.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { millis } from "@/api/state";
import type { Execution } from "@/gen/millrace/v1/queue_pb";
import { Ago, Duration } from "@/ui/time";
import { executionTitle, isDone, Stage, StageLabel } from "./stage";

export function ExecutionRow({ execution, platform = execution.platform, menu }: { execution: Execution; platform?: string | undefined; menu?: ReactNode }) {
  const title = executionTitle(execution);
  const where = execution.runnerName !== "" ? `on ${execution.runnerName}` : platform !== "" ? `for ${platform}` : isDone(execution) ? "" : "no platform";
  return (
    <li className="grid min-h-11 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border-b py-1 hover:bg-hover sm:grid-cols-[9rem_minmax(0,1fr)_9rem_6rem_1.75rem]">
      <span className="col-span-2 sm:col-span-1">
        <StageLabel execution={execution} />
      </span>
      <span className="min-w-0">
        <Link to="/executions/$executionId" params={{ executionId: execution.id }} preload={false} className="text-link block truncate font-medium" title={title}>
          {title}
        </Link>
        <span className="block truncate text-[12px] leading-4 text-muted" title={execution.command}>
          {execution.command !== title && <code>{execution.command}</code>}
          {execution.message !== "" && <span className={isDone(execution) ? "text-bad" : "text-warn"}> {execution.message}</span>}
        </span>
      </span>
      <span className="col-start-1 row-start-3 min-w-0 truncate text-muted sm:col-start-auto sm:row-start-auto">
        {where}
        {execution.priority !== 0 && <span className="block text-[12px] leading-4">priority {execution.priority}</span>}
      </span>
      <span className="col-start-2 row-start-3 text-right text-muted sm:col-start-auto sm:row-start-auto">
        <Age execution={execution} />
      </span>
      <span className="col-start-2 row-start-2 justify-self-end sm:col-start-auto sm:row-start-auto">{menu}</span>
    </li>
  );
}

function Age({ execution }: { execution: Execution }) {
  const from = millis(execution.queuedAt);
  const to = millis(execution.finishedAt);
  if (isDone(execution)) {
    return (
      <>
        <Ago at={to} />
        <span className="block text-[12px] leading-4" title="From the queue to the end">
          <Duration from={from} to={to ?? from} />
        </span>
      </>
    );
  }
  const started = millis(execution.startedAt);
  return (
    <span title="Since it was queued">
      <Duration from={from} to={undefined} />
      {execution.stage !== Stage.QUEUED && started !== undefined && (
        <span className="block text-[12px] leading-4" title="Its command runs so long">
          runs <Duration from={started} to={undefined} />
        </span>
      )}
    </span>
  );
}
