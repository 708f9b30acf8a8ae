// All runs, live, filtered by state.
import { useVirtualizer } from "@tanstack/react-virtual";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { STATE_BY_NAME, STATE_NAMES, type StateName } from "@/api/state";
import { errorText } from "@/api/transport";
import { runsRoute } from "@/app/router";
import { PipelineService } from "@/gen/millrace/v1/pipeline_pb";
import { CopyCurl } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { useShortcut } from "@/ui/shortcuts";
import { StateIcon, stateWord } from "@/ui/status";
import { RUNS_PAGE_SIZE, useLiveRuns } from "./live-runs";
import { RUN_ROW_PX, RunRow } from "./run-row";

export function RunsPage() {
  const search = runsRoute.useSearch();
  const names = (search.state?.split(",") ?? []) as StateName[];
  const { runs, stream, error, isPending, hasNextPage, isFetchingNextPage, fetchNextPage } = useLiveRuns(names);
  const { mode } = useRights();
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="flex items-center gap-2 px-3 pt-3 sm:px-4">
        <h1>Runs</h1>
        {stream === "waiting" && <span className="text-warn">↻ Connection lost, trying again</span>}
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(PipelineService.method.listRuns, { pageSize: RUNS_PAGE_SIZE, states: names.map((name) => STATE_BY_NAME[name]) }, mode === "serve")} />
      </div>
      <Filters names={names} />
      {error !== null && (
        <div className="p-3">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      {isPending ? (
        error === null && <Loading what="runs" />
      ) : runs.length === 0 ? (
        <NoRuns filtered={names.length > 0} />
      ) : (
        <RunList runs={runs} atEnd={() => hasNextPage && !isFetchingNextPage && void fetchNextPage()} loadingMore={isFetchingNextPage} />
      )}
    </div>
  );
}

function RunList({ runs, atEnd, loadingMore }: { runs: ReturnType<typeof useLiveRuns>["runs"]; atEnd: () => void; loadingMore: boolean }) {
  const frame = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- the virtualizer is read in this component only
  const list = useVirtualizer({ count: runs.length, getScrollElement: () => frame.current, estimateSize: () => RUN_ROW_PX, overscan: 12, getItemKey: (index) => runs[index]?.id ?? index });
  const items = list.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const near = last >= runs.length - 20;
  useEffect(() => {
    if (near) atEnd();
  });
  useShortcut("j", "Runs: next", () => move(frame.current, 1));
  useShortcut("k", "Runs: former", () => move(frame.current, -1));
  return (
    <div ref={frame} className="min-h-[70vh] flex-1 overflow-y-auto border-t lg:min-h-0" data-testid="runs">
      <ul aria-label="Runs, newest first" className="relative" style={{ height: list.getTotalSize() }}>
        {items.map((item) => {
          const run = runs[item.index];
          return (
            run !== undefined && (
              <li key={item.key} className="absolute inset-x-0 top-0" style={{ transform: `translateY(${item.start}px)` }}>
                <RunRow run={run} />
              </li>
            )
          );
        })}
      </ul>
      {loadingMore && <p className="p-2 text-center text-muted">Loading more …</p>}
    </div>
  );
}

function move(frame: HTMLElement | null, by: 1 | -1): void {
  const links = [...(frame?.querySelectorAll<HTMLElement>("li > a") ?? [])].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top);
  const at = links.indexOf(document.activeElement as HTMLElement);
  (links[at === -1 ? 0 : at + by] ?? links[at])?.focus();
}

function Filters({ names }: { names: StateName[] }) {
  const chip = (on: boolean) => `inline-flex h-7 items-center gap-1.5 whitespace-nowrap rounded-full border px-2.5 ${on ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`;
  return (
    <nav aria-label="Filter by state" className="flex gap-1.5 overflow-x-auto px-3 py-3 sm:flex-wrap sm:px-4">
      <Link to="/runs" search={{}} className={chip(names.length === 0)} aria-current={names.length === 0 ? "true" : undefined} activeOptions={{ exact: true, includeSearch: true }}>
        All
      </Link>
      {STATE_NAMES.map((name) => {
        const on = names.includes(name);
        const next = on ? names.filter((each) => each !== name) : [...names, name];
        return (
          <Link key={name} to="/runs" search={next.length === 0 ? {} : { state: next.join(",") }} className={chip(on)} aria-current={on ? "true" : undefined}>
            <StateIcon state={STATE_BY_NAME[name]} labelled={false} />
            {stateWord(STATE_BY_NAME[name])}
          </Link>
        );
      })}
    </nav>
  );
}

function NoRuns({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No run is in these states">
      <Link to="/runs" search={{}} className="text-link">
        Show all runs
      </Link>
    </Empty>
  ) : (
    <Empty title="No runs yet">
      Start one with <code className="text-ink">millrace run examples/hello.yml</code>, or{" "}
      <Link to="/" className="text-link">
        run the example from the home page
      </Link>
      . It appears here by itself.
    </Empty>
  );
}
