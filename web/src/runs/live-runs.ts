// The list of runs as it is now: pages from the server, with every change that comes by the watch laid over them.
import { createClient } from "@connectrpc/connect";
import { createConnectQueryKey, useInfiniteQuery, useTransport } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { STATE_BY_NAME, type State, type StateName } from "@/api/state";
import { useStream } from "@/api/stream";
import { PipelineService, type Run } from "@/gen/millrace/v1/pipeline_pb";

export const RUNS_PAGE_SIZE = 100;

/** Runs, newest first; empty `states` means all. */
export function useLiveRuns(names: readonly StateName[], pageSize = RUNS_PAGE_SIZE) {
  const states: State[] = names.map((name) => STATE_BY_NAME[name]);
  const query = useInfiniteQuery(
    PipelineService.method.listRuns,
    { pageSize, pageToken: "", states },
    { pageParamKey: "pageToken", getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken), staleTime: Infinity },
  );
  const [changes, setChanges] = useState<ReadonlyMap<string, Run>>(new Map());
  const client = useQueryClient();
  const transport = useTransport();
  const stream = useStream(
    "runs",
    (options) => createClient(PipelineService, transport).watchRuns({}, options),
    ({ run }) => {
      if (run === undefined) return;
      setChanges((before) => (isNewer(run, before.get(run.id)) ? new Map(before).set(run.id, run) : before));
    },
    // What happened before the watch was there, or while it was cut, is in the list.
    () => void client.invalidateQueries({ queryKey: createConnectQueryKey({ schema: PipelineService.method.listRuns, cardinality: "infinite" }) }),
  );
  const pages = query.data?.pages;
  const filter = names.join();
  const runs = useMemo(() => {
    const wanted = states.length === 0 ? undefined : new Set(states);
    return merge(pages?.flatMap((page) => page.runs) ?? [], changes, query.hasNextPage).filter((run) => wanted?.has(run.state) ?? true);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the names stand for the states
  }, [pages, changes, query.hasNextPage, filter]);
  return { ...query, runs, stream };
}

/** The listed runs with the changes; runs that began since are put in front. */
export function merge(listed: readonly Run[], changes: ReadonlyMap<string, Run>, more: boolean): Run[] {
  const seen = new Set<string>();
  const out: Run[] = [];
  for (const run of listed) {
    if (seen.has(run.id)) continue;
    seen.add(run.id);
    const change = changes.get(run.id);
    out.push(change !== undefined && isNewer(change, run) ? change : run);
  }
  const oldest = listed.at(-1);
  for (const change of changes.values()) {
    // An old run that changed while its page is not loaded yet would stand at the wrong place.
    if (!seen.has(change.id) && (!more || oldest === undefined || createdAt(change) >= createdAt(oldest))) out.push(change);
  }
  return out.sort((a, b) => createdAt(b) - createdAt(a));
}

function isNewer(run: Run, before: Run | undefined): boolean {
  return before === undefined || run.revision > before.revision;
}

function createdAt(run: Run): number {
  return run.createdAt === undefined ? 0 : Number(run.createdAt.seconds) * 1000 + run.createdAt.nanos / 1e6;
}
