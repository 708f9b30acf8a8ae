// Executions, newest first: those in flight, the running before the waiting; or those of one stage. And what can be done to each.
import { Link } from "@tanstack/react-router";
import { errorText } from "@/api/transport";
import { QUEUE_STAGE_NAMES, type QueueStageName } from "@/app/router";
import { ExecutionMenu } from "@/execution/execution-menu";
import { ExecutionRow } from "@/execution/execution-row";
import { useExecutions } from "@/execution/recent-executions";
import { Stage } from "@/execution/stage";
import type { Queue } from "@/gen/millrace/v1/queue_pb";
import { Button } from "@/ui/button";
import { Alert } from "@/ui/message";
import { useAfterChange } from "./live-queue";
import { platformTitle } from "./words";

const PAGE_SIZE = 50;
const REFRESH_MS = 1_000;

/** In flight is running and waiting: two lists, so that what runs is seen though a thousand wait. */
const STAGES: Record<QueueStageName, { label: string; stages: readonly Stage[]; none: string }> = {
  flight: { label: "In flight", stages: [], none: "Nothing is in flight." },
  running: { label: "Running", stages: [Stage.INPUT_FETCH, Stage.EXECUTING, Stage.OUTPUT_UPLOAD], none: "No runner has an action now." },
  queued: { label: "Waiting", stages: [Stage.QUEUED], none: "Nothing waits." },
  done: { label: "Finished", stages: [Stage.DONE], none: "No finished execution is remembered." },
};

export function InFlightPane({ queue, chosen, onProblem }: { queue: Queue; chosen: QueueStageName; onProblem: (text: string) => void }) {
  const { none } = STAGES[chosen];
  const inFlight = chosen === "flight";
  const running = useExecutions({ stages: [...STAGES.running.stages] }, PAGE_SIZE, { enabled: inFlight });
  const list = useExecutions({ stages: [...(inFlight ? STAGES.queued : STAGES[chosen]).stages] }, PAGE_SIZE);
  const { hasNextPage, fetchNextPage, isFetchingNextPage } = list;
  const error = list.error ?? (inFlight ? running.error : null);
  const isPending = list.isPending || (inFlight && running.isPending);
  // One that began between the two answers stands in both.
  const executions = inFlight ? [...new Map([...running.executions, ...list.executions].map((each) => [each.id, each])).values()] : list.executions;
  const refetch = () => {
    void list.refetch();
    if (inFlight) void running.refetch();
  };
  useAfterChange(queue, REFRESH_MS, refetch);
  const platforms = new Map(queue.platforms.map((platform) => [platform.name, platformTitle(platform)]));
  return (
    <section aria-labelledby="executions" className="mt-6">
      <div className="flex min-h-7 flex-wrap items-center gap-x-3 gap-y-1 border-b pb-1">
        <h2 id="executions">Executions</h2>
        <nav aria-label="Which executions" className="flex flex-wrap gap-1.5">
          {QUEUE_STAGE_NAMES.map((name) => (
            <Link
              key={name}
              to="/queue"
              search={name === "flight" ? {} : { stage: name }}
              resetScroll={false}
              replace
              aria-current={name === chosen ? "true" : undefined}
              activeProps={{ "aria-current": name === chosen ? "true" : undefined }}
              className={`inline-flex h-7 items-center rounded-full border px-2.5 whitespace-nowrap ${name === chosen ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`}
            >
              {STAGES[name].label}
            </Link>
          ))}
        </nav>
      </div>
      {error !== null && (
        <div className="mt-2">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      {executions.length === 0 ? (
        error === null && <p className="py-3 text-muted">{isPending ? "Looking …" : none}</p>
      ) : (
        <ul aria-label="Executions, newest first" data-testid="executions">
          {executions.map((each) => (
            <ExecutionRow key={each.id} execution={each} platform={platforms.get(each.platform)} menu={<ExecutionMenu execution={each} platforms={platforms} onChanged={refetch} onProblem={onProblem} />} />
          ))}
        </ul>
      )}
      {hasNextPage && (
        <Button look="quiet" className="mt-1" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {isFetchingNextPage ? "Loading more …" : "Show more"}
        </Button>
      )}
    </section>
  );
}
