// The runners: who is there, what each does, and how to add one.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createConnectQueryKey, useMutation, useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { QueueService } from "@/gen/millrace/v1/queue_pb";
import { RunnerService, type Runner } from "@/gen/millrace/v1/runner_pb";
import { RunnerState } from "@/gen/pkg/proto/runner/v1/runner_pb";
import { Button } from "@/ui/button";
import { CopyCurl, Id } from "@/ui/copy";
import { Dialog } from "@/ui/dialog";
import { MoreIcon, PlusIcon } from "@/ui/icons";
import { Menu } from "@/ui/menu";
import { Alert, Empty, Loading } from "@/ui/message";
import { Ago } from "@/ui/time";
import { AddRunner } from "./add-runner";

const POLL_MS = 3_000;

export function RunnersPage() {
  const { data, error, isPending } = useQuery(RunnerService.method.listRunners, {}, { refetchInterval: POLL_MS });
  // What runners do for remote execution is the queue's to tell; where there is none, they do nothing for it.
  const queue = useQuery(QueueService.method.getQueue, {}, { refetchInterval: ({ state }) => (state.error === null ? POLL_MS : false) }).data?.queue;
  const executing = new Map(queue?.platforms.flatMap((platform) => platform.runners).map((runner) => [runner.uuid, runner.executing]));
  const rights = useRights();
  const [adding, setAdding] = useState(false);
  const [problem, setProblem] = useState("");
  const runners = data?.runners ?? [];
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="flex items-center gap-2">
        <h1>Runners</h1>
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(RunnerService.method.listRunners, {}, rights.mode === "serve")} />
        <Button look="primary" onClick={() => setAdding(true)} disabled={!rights.admin} title={rights.admin ? undefined : "Only an administrator can add runners"}>
          <PlusIcon /> Add a runner
        </Button>
      </div>
      <div className="mt-3 grid gap-2">
        {error !== null && <Alert>{errorText(error)}</Alert>}
        {problem !== "" && <Alert>{problem}</Alert>}
      </div>
      {isPending && error === null ? (
        <Loading what="runners" />
      ) : runners.length === 0 && error === null ? (
        <Empty title="No runner yet">Jobs wait until a runner takes them. A runner is one program that needs no open port: add one on any machine that can reach this server.</Empty>
      ) : (
        <ul aria-label="Runners" className="mt-2 border-t">
          {runners.map((runner) => (
            <RunnerItem key={runner.uuid} runner={runner} actions={executing.get(runner.uuid) ?? 0} admin={rights.admin} onProblem={setProblem} />
          ))}
        </ul>
      )}
      <AddRunner open={adding} onOpenChange={setAdding} />
    </div>
  );
}

function RunnerItem({ runner, actions, admin, onProblem }: { runner: Runner; actions: number; admin: boolean; onProblem: (text: string) => void }) {
  const client = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const done = {
    onSuccess: () => {
      onProblem("");
      void client.invalidateQueries({ queryKey: createConnectQueryKey({ schema: RunnerService.method.listRunners, cardinality: "finite" }) });
    },
    onError: (error: unknown) => onProblem(errorText(error)),
  };
  const drain = useMutation(RunnerService.method.drainRunner, done);
  const remove = useMutation(RunnerService.method.removeRunner, done);
  const { uuid } = runner;
  return (
    <li className="grid grid-cols-[minmax(0,1fr)_auto] gap-x-4 gap-y-1 border-b py-2.5 sm:grid-cols-[104px_minmax(0,1fr)_auto]">
      <RunnerStanding runner={runner} busy={actions > 0} />
      <div className="col-span-2 row-start-2 min-w-0 sm:col-span-1 sm:row-start-auto">
        <div className="flex flex-wrap items-center gap-x-3">
          <span className="font-medium">{runner.name}</span>
          <span className="text-muted">
            {[runner.os, runner.arch].filter((part) => part !== "").join("/")}
            {runner.version !== "" && ` · ${runner.version}`} · {Math.min(runner.slots || 1, runner.tasks.length + actions)} of {runner.slots || 1} {(runner.slots || 1) === 1 ? "slot" : "slots"} taken
            {runner.ephemeral && " · leaves after one task"}
          </span>
          <Id id={uuid} label={`the id of ${runner.name}`} />
        </div>
        <div className="flex flex-wrap gap-1 pt-0.5">
          {runner.labels.map((label) => (
            <code key={label} className="rounded border bg-panel px-1.5 text-muted">
              {label}
            </code>
          ))}
        </div>
        {runner.tasks.map((task) => (
          <div key={`${task.runId} ${task.jobKey}`} className="pt-0.5">
            <Link to="/runs/$runId" params={{ runId: task.runId }} search={{ job: task.jobKey }} className="text-link">
              #{String(task.runNumber)} {task.jobKey}
            </Link>{" "}
            <span className="text-muted">
              began <Ago at={task.startedAt === undefined ? undefined : timestampMs(task.startedAt)} />
            </span>
          </div>
        ))}
        {actions > 0 && (
          <div className="pt-0.5">
            <Link to="/queue" search={{ stage: "running" }} className="text-link">
              {actions === 1 ? "1 action" : `${actions} actions`}
            </Link>{" "}
            <span className="text-muted">of remote execution</span>
          </div>
        )}
        <div className="text-[12px] leading-4 text-muted">
          heard of <Ago at={runner.lastSeenAt === undefined ? undefined : timestampMs(runner.lastSeenAt)} />
          {runner.registeredAt !== undefined && (
            <>
              , registered <Ago at={timestampMs(runner.registeredAt)} />
            </>
          )}
        </div>
      </div>
      <div className="col-start-2 row-start-1 sm:col-start-auto sm:row-start-auto">
        <Menu
          trigger={
            <Button look="quiet" square aria-label={`Actions for ${runner.name}`} disabled={!admin || drain.isPending || remove.isPending}>
              <MoreIcon />
            </Button>
          }
          items={[
            runner.draining
              ? { label: "Resume", hint: "Gets work again", onSelect: () => drain.mutate({ uuid, resume: true }) }
              : { label: "Drain", hint: "Finishes what it has, gets nothing new", onSelect: () => drain.mutate({ uuid }) },
            { label: "Remove …", danger: true, onSelect: () => setRemoving(true) },
          ]}
        />
      </div>
      <Dialog open={removing} onOpenChange={setRemoving} title={`Remove ${runner.name}?`} description={runner.tasks.length > 0 ? "What it runs is given to another runner. It must register anew to come back." : "It must register anew to come back."}>
        <div className="flex justify-end gap-2">
          <Button onClick={() => setRemoving(false)}>Keep it</Button>
          <Button
            look="danger"
            onClick={() => {
              setRemoving(false);
              remove.mutate({ uuid });
            }}
          >
            Remove
          </Button>
        </div>
      </Dialog>
    </li>
  );
}

/** What a runner does, as icon, word and colour. */
function RunnerStanding({ runner, busy }: { runner: Runner; busy: boolean }) {
  const [word, colour, shape] =
    runner.state === RunnerState.OFFLINE
      ? ["Offline", "text-bad", <path key="o" d="m5 5 6 6m0-6-6 6" />]
      : runner.draining
        ? ["Draining", "text-warn", <path key="d" d="M8 4.5v5.500m0 0 2.5-2.500M8 10 5.5 7.5" />]
        : runner.state === RunnerState.ACTIVE || busy
          ? ["Busy", "text-run", <path key="a" d="M6.5 5.200v5.600L11 8z" fill="currentColor" />]
          : runner.state === RunnerState.IDLE
            ? ["Idle", "text-ok", <circle key="i" cx="8" cy="8" r="2.2" fill="currentColor" />]
            : ["Unknown", "text-muted", <path key="u" d="M8 8h.01" />];
  return (
    <span className={`inline-flex h-5 items-center gap-1.5 font-medium ${colour}`}>
      <svg viewBox="0 0 16 16" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        <circle cx="8" cy="8" r="6.2" />
        {shape}
      </svg>
      {word}
    </span>
  );
}
