// One build: how it stands, its targets and tests, what it printed, how caches did, where its time went.
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { curlCall } from "@/api/curl";
import { signedOut, useRights } from "@/api/session";
import { millis } from "@/api/state";
import { errorText, isNotFound } from "@/api/transport";
import { INVOCATION_TABS, invocationRoute, type InvocationTab } from "@/app/router";
import { RecentExecutions, useExecutions } from "@/execution/recent-executions";
import { InvocationService, type Invocation } from "@/gen/millrace/v1/invocation_pb";
import { LogPane } from "@/log/log-pane";
import { findSearch } from "@/log/query";
import { buttonClass } from "@/ui/button";
import { CopyCurl, Id } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { Ago, Duration } from "@/ui/time";
import { CacheTab } from "./cache-tab";
import { DetailsTab } from "./details-tab";
import { useLiveInvocation } from "./live-invocation";
import { countsText, endOf, invocationTitle, isLive, Status, StatusLabel, whoText } from "./standing";
import { TargetsTab } from "./targets-tab";
import { TimingTab } from "./timing-tab";

const EXECUTIONS_PAGE = 50;
const LABELS: Record<InvocationTab, string> = { targets: "Targets", tests: "Tests", log: "Log", cache: "Cache", timing: "Timing", executions: "Executions", details: "Details" };

export function InvocationPage() {
  const { invocationId } = invocationRoute.useParams();
  const { invocation, error, isPending, stream } = useLiveInvocation(invocationId);
  if (invocation !== undefined) return <Page key={invocation.id} invocation={invocation} lost={stream === "waiting"} />;
  if (isNotFound(error)) return <NotHere invocationId={invocationId} />;
  if (isPending) return <Loading what="the invocation" />;
  return (
    <div className="p-4">
      <Alert>{error === null ? "The server sent no invocation." : errorText(error)}</Alert>
    </div>
  );
}

function Page({ invocation, lost }: { invocation: Invocation; lost: boolean }) {
  const { tab = "targets" } = invocationRoute.useSearch();
  const failed = invocation.status === Status.FAILED;
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <Head invocation={invocation} />
      <div className="grid gap-2 px-3 empty:hidden sm:px-4">
        {lost && (
          <p role="status" className="text-warn">
            ↻ Connection lost, trying again. The build goes on meanwhile.
          </p>
        )}
        {invocation.status === Status.DISCONNECTED && <Alert tone="warn">Its events stopped coming before its end. They may go on: the build tool tries again for a while.</Alert>}
        {invocation.message !== "" && <Alert tone={failed ? "bad" : "warn"}>{invocation.message}</Alert>}
      </div>
      <Tabs invocation={invocation} tab={tab} />
      {tab === "log" ? (
        <LogTab invocation={invocation} />
      ) : (
        <div className="min-h-0 flex-1 px-3 py-3 sm:px-4 lg:overflow-y-auto">
          <div className="max-w-5xl">
            {tab === "targets" && <TargetsTab key="targets" invocation={invocation} tests={false} />}
            {tab === "tests" && <TargetsTab key="tests" invocation={invocation} tests />}
            {tab === "cache" && <CacheTab invocation={invocation} />}
            {tab === "timing" && <TimingTab invocation={invocation} />}
            {tab === "executions" && <ExecutionsTab invocationId={invocation.id} watch={isLive(invocation)} />}
            {tab === "details" && <DetailsTab invocation={invocation} />}
          </div>
        </div>
      )}
    </div>
  );
}

function Head({ invocation }: { invocation: Invocation }) {
  const { mode } = useRights();
  const who = whoText(invocation);
  const counts = countsText(invocation);
  return (
    <header className="flex flex-wrap items-start gap-x-4 gap-y-2 px-3 py-3 sm:px-4">
      <div className="min-w-0 flex-1 basis-72">
        <h1 className="line-clamp-2 [overflow-wrap:anywhere]" title={invocationTitle(invocation)}>
          {invocationTitle(invocation)}
        </h1>
        <div className="mt-0.5 flex flex-wrap items-center gap-x-4 text-muted">
          <span data-testid="status">
            <StatusLabel status={invocation.status} />
          </span>
          {invocation.exitCode !== undefined && invocation.exitCode !== 0 && (
            <span className="text-bad">
              {invocation.exitCodeName === "" ? `exit code ${invocation.exitCode}` : invocation.exitCodeName.toLowerCase().replaceAll("_", " ")}
            </span>
          )}
          <span>
            <Ago at={millis(invocation.startedAt)} />
            {who !== "" && ` by ${who}`}
          </span>
          <span title="From its begin to its end">
            <Duration from={millis(invocation.startedAt)} to={endOf(invocation)} />
          </span>
          {counts !== "" && <span>{counts}</span>}
          {invocation.tool !== "" && <span>{invocation.tool}</span>}
          <Id id={invocation.id} label="the id of the invocation" />
        </div>
      </div>
      <CopyCurl line={() => curlCall(InvocationService.method.getInvocation, { id: invocation.id }, mode === "serve")} />
    </header>
  );
}

function Tabs({ invocation, tab }: { invocation: Invocation; tab: InvocationTab }) {
  const { targets, tests } = invocation;
  const notes: Partial<Record<InvocationTab, ReactNode>> = {
    targets: targets !== undefined && targets.failed > 0n ? <Bad>{String(targets.failed)} not built</Bad> : targets !== undefined && targets.configured > 0n ? <Note>{String(targets.configured)}</Note> : undefined,
    tests: tests !== undefined && tests.failed + tests.timedOut > 0n ? <Bad>{String(tests.failed + tests.timedOut)} failed</Bad> : tests !== undefined && tests.total > 0n ? <Note>{String(tests.total)}</Note> : undefined,
  };
  return (
    <nav aria-label="Parts of the invocation" className="mt-1 flex shrink-0 overflow-x-auto border-b px-1 sm:px-2">
      {INVOCATION_TABS.map((name) => (
        <Link
          key={name}
          to="/invocations/$invocationId"
          params={{ invocationId: invocation.id }}
          search={name === "targets" ? {} : { tab: name }}
          aria-current={name === tab ? "true" : undefined}
          activeProps={{ "aria-current": name === tab ? "true" : undefined }}
          className={`flex items-center gap-1.5 border-b-2 px-2.5 py-1.5 whitespace-nowrap ${name === tab ? "border-accent font-medium" : "border-transparent text-muted hover:text-ink"}`}
        >
          {LABELS[name]}
          {notes[name]}
        </Link>
      ))}
    </nav>
  );
}

function Bad({ children }: { children: ReactNode }) {
  return <span className="text-[12px] font-normal text-bad">{children}</span>;
}

function Note({ children }: { children: ReactNode }) {
  return <span className="text-[12px] font-normal text-muted">{children}</span>;
}

function LogTab({ invocation }: { invocation: Invocation }) {
  const search = invocationRoute.useSearch();
  const { l } = search;
  const find = findSearch({ ...search });
  const navigate = useNavigate({ from: "/invocations/$invocationId" });
  const client = useQueryClient();
  // What broke off may go on; the log knows better whether it is complete.
  const [live] = useState(isLive(invocation));
  if (invocation.logId === "") return <Empty title={isLive(invocation) ? "Nothing was printed yet" : "Nothing was printed"}>{isLive(invocation) ? "What the build tool prints appears here by itself." : "Build tools send what they print along with their events."}</Empty>;
  return (
    <div className="flex min-h-[75vh] flex-1 flex-col lg:min-h-0">
      <LogPane
        logId={invocation.logId}
        title="The build tool's output"
        live={live}
        failed={false}
        origin={millis(invocation.startedAt) ?? 0}
        lines={l}
        search={find}
        onLines={(lines) => void navigate({ search: { tab: "log", ...find, ...(lines === undefined ? {} : { l: lines }) }, replace: true })}
        onSearch={(next) => void navigate({ search: { tab: "log", ...next, ...(l === undefined ? {} : { l }) }, replace: true })}
        onStay={() => {}}
        onUnauthenticated={() => signedOut(client)}
      />
    </div>
  );
}

function ExecutionsTab({ invocationId, watch }: { invocationId: string; watch: boolean }) {
  const list = useExecutions({ invocationId }, EXECUTIONS_PAGE, { watch });
  return <RecentExecutions id="executions" title="Executions of this build" none="Nothing of this build was run by runners of this server. With --remote_executor it would be; what was found in the cache is not run." list={list} />;
}

function NotHere({ invocationId }: { invocationId: string }) {
  const list = useExecutions({ invocationId }, EXECUTIONS_PAGE);
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="mx-auto max-w-lg py-12">
        <h1>There is no such invocation</h1>
        <p className="mt-1 text-muted">
          Its build tool did not tell of it, or it is forgotten. <code className="whitespace-nowrap text-ink">--bes_backend</code> makes Bazel tell of a build.
        </p>
        <p className="mt-4">
          <Link to="/invocations" search={{}} className={buttonClass("primary")}>
            All invocations
          </Link>
        </p>
      </div>
      {list.executions.length > 0 && <RecentExecutions id="executions" title="What it had run here" none="" list={list} />}
    </div>
  );
}
