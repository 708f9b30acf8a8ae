// The first page: what is left to do on a new server, in rows that turn green by themselves; then what goes on.
import { createConnectQueryKey, useMutation, useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { State } from "@/api/state";
import { errorText } from "@/api/transport";
import { hitRate, isUsed, lookups, rateText, WINDOWS } from "@/cache/activity";
import { bazelrc, bazelrcExecution } from "@/cache/bazelrc";
import { isOff } from "@/execution/recent-executions";
import { CacheService } from "@/gen/millrace/v1/cache_pb";
import { PipelineService } from "@/gen/millrace/v1/pipeline_pb";
import { QueueService } from "@/gen/millrace/v1/queue_pb";
import { RunnerService } from "@/gen/millrace/v1/runner_pb";
import { RunnerState } from "@/gen/pkg/proto/runner/v1/runner_pb";
import { useLiveRuns } from "@/runs/live-runs";
import { RunRow } from "@/runs/run-row";
import { AddRunner } from "@/runners/add-runner";
import { Button } from "@/ui/button";
import { countText } from "@/ui/bytes";
import { Command, CopyCurl } from "@/ui/copy";
import { Alert } from "@/ui/message";
import { StateIcon } from "@/ui/status";
import failing from "../../../examples/failing.yml?raw";
import hello from "../../../examples/hello.yml?raw";

const POLL_MS = 2_000;
const RECENT_RUNS = 10;
const USED_LATELY = { allInstances: true, windowSeconds: BigInt(WINDOWS["30d"].seconds), steps: 1 };

export function HomePage() {
  const { runs, error, isSuccess } = useLiveRuns([], RECENT_RUNS);
  const runners = useQuery(RunnerService.method.listRunners, {}, { refetchInterval: POLL_MS });
  const rights = useRights();
  const [adding, setAdding] = useState(false);
  const connected = (runners.data?.runners ?? []).filter((runner) => runner.state !== RunnerState.OFFLINE);
  const succeeded = runs.some((run) => run.state === State.SUCCESS);
  const running = runs.find((run) => run.state === State.RUNNING || run.state === State.QUEUED);
  const up = isSuccess && error === null;
  return (
    <div className="mx-auto w-full max-w-3xl px-3 py-4 sm:px-4">
      {error !== null && (
        <div className="mb-3">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      <section aria-labelledby="start">
        <h1 id="start">First steps</h1>
        <ul className="mt-2 border-t">
          <Check done={up} title="The server is up">
            {up ? (
              <>
                at <code>{location.origin}</code>
              </>
            ) : (
              "Waiting for its answer …"
            )}
          </Check>
          <Check done={connected.length > 0} title="A runner is connected">
            {connected.length > 0 ? (
              <Link to="/runners" className="text-link">
                {connected.length === 1 ? connected[0]?.name : `${connected.length} runners`}
              </Link>
            ) : (
              "Jobs wait until one is there; add one below."
            )}
          </Check>
          <Check done={succeeded} busy={!succeeded && running !== undefined} title="A first pipeline went through">
            <p>
              Ten seconds: <code>examples/hello.yml</code>, or <code>millrace run examples/hello.yml</code> in a terminal. The other one shows what failure looks like.
            </p>
            <RunExamples disabled={!rights.run || !up} />
          </Check>
          <CacheCheck />
          <ExecutionCheck />
          <Check done={connected.length > 1} optional title="Add a runner">
            <p>More machines, other systems: Linux, macOS or Windows. It needs no open port.</p>
            <div className="mt-1.5">
              <Button onClick={() => setAdding(true)} disabled={!rights.admin}>
                Add a runner
              </Button>
            </div>
          </Check>
        </ul>
      </section>
      <section aria-labelledby="recent" className="mt-8">
        <div className="flex items-center gap-2">
          <h2 id="recent">Recent runs</h2>
          <span className="flex-1" />
          <CopyCurl line={() => curlCall(PipelineService.method.listRuns, { pageSize: RECENT_RUNS }, rights.mode === "serve")} />
          {runs.length > 0 && (
            <Link to="/runs" search={{}} className="text-link">
              All runs
            </Link>
          )}
        </div>
        {runs.length === 0 ? (
          <div className="mt-2 border-t pt-3 text-muted">
            <p className="mb-2">Nothing has run yet. Start your own pipeline from a terminal:</p>
            <Command line={`millrace run pipeline.yml --server ${location.origin}`} label="Start a pipeline" />
          </div>
        ) : (
          <ul aria-label="Recent runs, newest first" className="-mx-3 mt-2 border-t sm:-mx-4">
            {runs.slice(0, RECENT_RUNS).map((run) => (
              <li key={run.id}>
                <RunRow run={run} />
              </li>
            ))}
          </ul>
        )}
      </section>
      <AddRunner open={adding} onOpenChange={setAdding} />
    </div>
  );
}

function Check({ done, busy = false, optional = false, title, children }: { done: boolean; busy?: boolean; optional?: boolean; title: string; children: ReactNode }) {
  return (
    <li className="flex gap-3 border-b py-2.5" data-done={done}>
      <span className="pt-0.5">
        <StateIcon state={done ? State.SUCCESS : busy ? State.RUNNING : State.PENDING} labelled={false} />
      </span>
      <div className="min-w-0 flex-1">
        <p className="font-medium">
          {title} <span className={`font-normal ${done ? "text-ok" : "text-muted"}`}>{done ? "done" : busy ? "under way" : optional ? "when you like" : "to do"}</span>
        </p>
        <div className="text-muted">{children}</div>
      </div>
    </li>
  );
}

/** Turns green with the first call of a build tool. */
function CacheCheck() {
  const { mode } = useRights();
  const { data } = useQuery(CacheService.method.listCacheActivity, USED_LATELY, { refetchInterval: ({ state }) => (isUsed(state.data?.total) ? false : POLL_MS) });
  const used = isUsed(data?.total);
  const words = WINDOWS["30d"].words;
  return (
    <Check done={used} optional title="Remote cache used">
      {used ? (
        <p>
          <Link to="/cache" search={{}} className="text-link">
            {lookups(data?.total) > 0 ? `Hit rate ${rateText(hitRate(data?.total))} in ${words}` : `In use in ${words}`}
          </Link>
        </p>
      ) : (
        <>
          <p className="mb-1.5">
            Put this in a <code>.bazelrc</code> and build twice. For ccache, sccache, Gradle and curl{" "}
            <Link to="/cache" search={{}} className="text-link">
              look at the cache page
            </Link>
            .
          </p>
          <Command line={bazelrc({ instance: "", token: mode === "serve" })} label="Lines for .bazelrc" />
        </>
      )}
    </Check>
  );
}

/** Turns green with the first action that was asked for; then it says how the queue stands. */
function ExecutionCheck() {
  const { mode } = useRights();
  const { data, error } = useQuery(QueueService.method.listExecutions, { pageSize: 1 }, { refetchInterval: POLL_MS });
  const used = (data?.executions.length ?? 0) > 0;
  const queue = useQuery(QueueService.method.getQueue, {}, { refetchInterval: POLL_MS, enabled: used }).data?.queue;
  if (isOff(error)) return null;
  return (
    <Check done={used} optional title="Remote execution used">
      {used ? (
        <p>
          <Link to="/queue" search={{}} className="text-link">
            {queue === undefined ? "The queue" : `${countText(queue.executing)} running, ${countText(queue.queued)} waiting`}
          </Link>
        </p>
      ) : (
        <>
          <p className="mb-1.5">The runners take a build&apos;s actions as well, and each build gets a page.</p>
          <Command line={bazelrcExecution({ instance: "", token: mode === "serve" })} label="Lines for .bazelrc, remote execution" />
        </>
      )}
    </Check>
  );
}

function RunExamples({ disabled }: { disabled: boolean }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const start = useMutation(PipelineService.method.run, {
    onSuccess: ({ run }) => {
      void client.invalidateQueries({ queryKey: createConnectQueryKey({ schema: PipelineService.method.listRuns, cardinality: "infinite" }) });
      if (run !== undefined) void navigate({ to: "/runs/$runId", params: { runId: run.id }, search: {} });
    },
  });
  const go = (fileName: string, workflow: string) => start.mutate({ fileName, workflow, requestId: requestId() });
  return (
    <>
      <div className="mt-1.5 flex flex-wrap gap-2">
        <Button look="primary" disabled={disabled || start.isPending} onClick={() => go("examples/hello.yml", hello)}>
          Run the example
        </Button>
        <Button disabled={disabled || start.isPending} onClick={() => go("examples/failing.yml", failing)}>
          Run one that fails
        </Button>
      </div>
      {start.error !== null && (
        <div className="mt-2">
          <Alert>{errorText(start.error)}</Alert>
        </div>
      )}
    </>
  );
}

/** A retried click starts one run. crypto.randomUUID is missing on plain HTTP beyond loopback. */
function requestId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
