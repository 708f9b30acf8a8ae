// The queue: what waits, what runs, who could run it, and, where it is stuck, why.
import { Link } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { queueRoute } from "@/app/router";
import { bazelrcExecution } from "@/cache/bazelrc";
import { isOff } from "@/execution/recent-executions";
import { QueueService, type Queue } from "@/gen/millrace/v1/queue_pb";
import { countText } from "@/ui/bytes";
import { Command, CopyCurl } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { InFlightPane } from "./in-flight-pane";
import { JobsPane } from "./jobs-pane";
import { useLiveQueue } from "./live-queue";
import { PlatformsPane } from "./platforms-pane";
import { UnmatchedPane } from "./unmatched-pane";
import { queueWords, slotCount } from "./words";

export function QueuePage() {
  const { stage = "flight" } = queueRoute.useSearch();
  const { queue, error, isPending, stream } = useLiveQueue();
  const { mode } = useRights();
  const [problem, setProblem] = useState("");
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h1>Queue</h1>
        {stream === "waiting" && (
          <span role="status" className="text-warn">
            ↻ Connection lost, trying again
          </span>
        )}
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(QueueService.method.getQueue, {}, mode === "serve")} />
      </div>
      <div className="mt-3 grid gap-2 empty:hidden">
        {error !== null && !isOff(error) && <Alert>{errorText(error)}</Alert>}
        {problem !== "" && <Alert>{problem}</Alert>}
      </div>
      {isOff(error) ? (
        <Empty title="There is no queue to see here">{errorText(error)} Remote execution may be switched off on this server, or your token may not read it.</Empty>
      ) : queue === undefined ? (
        isPending && <Loading what="the queue" />
      ) : (
        <>
          <Figures queue={queue} />
          <UnmatchedPane queue={queue} />
          <PlatformsPane platforms={queue.platforms} onProblem={setProblem} />
          {queue.platforms.length === 0 && <NoPlatform />}
          <JobsPane jobs={queue.jobs} />
          <InFlightPane queue={queue} chosen={stage} onProblem={setProblem} />
          <Use quiet={queue.queued > 0n || queue.executing > 0n || queue.finishedLastMinute > 0n} />
        </>
      )}
    </div>
  );
}

function Figures({ queue }: { queue: Queue }) {
  const slots = slotCount(queue);
  return (
    <section aria-label="The queue in figures" className="mt-1">
      <p role="status">{queueWords(queue)}</p>
      <dl className="mt-2 grid grid-cols-2 gap-x-6 gap-y-3 border-y py-3 sm:grid-cols-5">
        <Figure label="Waiting" value={countText(queue.queued)} />
        <Figure label="Running" value={countText(queue.executing)} />
        <Figure label="Slots that run actions" value={`${slots.busy} of ${slots.all}`} />
        <Figure label="Finished in the last minute" value={countText(queue.finishedLastMinute)} />
        <Figure label="Answered from the cache" value={countText(queue.cachedLastMinute)} note="in the last minute" />
      </dl>
    </section>
  );
}

function Figure({ label, value, note }: { label: string; value: string; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-[12px] leading-4 text-muted">{label}</dt>
      <dd>
        <span className="block text-[18px] leading-7 font-semibold">{value}</span>
        {note !== undefined && <span className="block text-[12px] leading-4 text-muted">{note}</span>}
      </dd>
    </div>
  );
}

function NoPlatform() {
  return (
    <Empty title="No runner offers to run actions">
      Whatever asks to be run fails until one is there.{" "}
      <Link to="/runners" className="text-link">
        Add a runner
      </Link>
      : it offers its system and whatever <code>--property NAME=VALUE</code> says.
    </Empty>
  );
}

function Use({ quiet }: { quiet: boolean }) {
  const { mode } = useRights();
  const lines = (
    <>
      <p className="mb-1.5 text-muted">
        In a <code>.bazelrc</code>: every action runs on the runners above, and each build gets a page.
      </p>
      <Command line={bazelrcExecution({ instance: "", token: mode === "serve" })} label="Lines for .bazelrc" />
      {mode === "serve" && <p className="mt-1 text-muted">Put a token with the role execute in place of TOKEN.</p>}
    </>
  );
  return quiet ? (
    <details className="mt-8 border-t pt-3">
      <summary className="cursor-pointer font-semibold">Use this queue</summary>
      <div className="mt-2">{lines}</div>
    </details>
  ) : (
    <section aria-labelledby="use" className="mt-8">
      <h2 id="use">Use this queue</h2>
      {lines}
    </section>
  );
}
