// The targets of a build, or its tests: those with a failure first; each unfolds to its message, outputs and attempts.
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useEffectEvent, useState } from "react";
import { errorText } from "@/api/transport";
import { invocationRoute } from "@/app/router";
import { InvocationService, type Invocation, type InvocationTarget } from "@/gen/millrace/v1/invocation_pb";
import { useAfterChange } from "@/queue/live-queue";
import { Button } from "@/ui/button";
import { countText } from "@/ui/bytes";
import { ChevronIcon } from "@/ui/icons";
import { Alert, Empty } from "@/ui/message";
import { durationText } from "@/ui/time";
import { FailedActions } from "./failed-actions";
import { FAILURES, isLive, TargetLabel } from "./standing";
import { TargetDetails } from "./target-details";

const PAGE_SIZE = 100;
const REFRESH_MS = 1_000;
const TYPING_MS = 300;

export function TargetsTab({ invocation, tests }: { invocation: Invocation; tests: boolean }) {
  const search = invocationRoute.useSearch();
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    InvocationService.method.listInvocationTargets,
    { id: invocation.id, testsOnly: tests, text: search.q ?? "", statuses: search.only === "failed" ? [...FAILURES] : [], pageSize: PAGE_SIZE, pageToken: "" },
    { pageParamKey: "pageToken", getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken), placeholderData: (before) => before },
  );
  useAfterChange(invocation, REFRESH_MS, () => void refetch());
  const targets = (data?.pages ?? []).flatMap((page) => page.targets);
  const total = data?.pages[0]?.total ?? 0n;
  const chosen = search.q !== undefined || search.only !== undefined;
  const word = tests ? "tests" : "targets";
  return (
    <div>
      {!tests && <FailedActions actions={invocation.failedActions} />}
      <Filter tests={tests} total={total} shown={!isPending} />
      {error !== null ? (
        <div className="mt-2">
          <Alert>{errorText(error)}</Alert>
        </div>
      ) : isPending ? (
        <p className="py-3 text-muted">Looking for {word} …</p>
      ) : targets.length === 0 ? (
        <Empty title={chosen ? `No ${word} are like that` : isLive(invocation) ? `No ${word} yet` : `This build had no ${word}`}>{!chosen && (isLive(invocation) ? "They appear here by themselves." : tests ? "Only the command test runs tests." : "It ended before any was told of.")}</Empty>
      ) : (
        <ul aria-label={tests ? "Tests" : "Targets"} className="mt-2 border-t">
          {targets.map((target) => (
            <TargetRow key={`${target.label} ${target.configuration} ${target.aspect}`} target={target} tests={tests} />
          ))}
        </ul>
      )}
      {hasNextPage && (
        <Button look="quiet" className="mt-1" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {isFetchingNextPage ? "Loading more …" : `Show more (${countText(total - BigInt(targets.length))} are left)`}
        </Button>
      )}
    </div>
  );
}

function TargetRow({ target, tests }: { target: InvocationTarget; tests: boolean }) {
  const [open, setOpen] = useState(false);
  const { test } = target;
  const side = test !== undefined ? [durationText(Number(test.durationMs)), test.shards > 1 ? `${test.shards} shards` : "", test.runs > 1 ? `${test.runs} runs` : "", test.cached > 0 ? "cached" : ""] : target.outputsTotal > 0n ? [target.outputsTotal === 1n ? "1 output" : `${target.outputsTotal} outputs`] : [];
  return (
    <li className="border-b">
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className="grid w-full grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 py-1.5 text-left hover:bg-hover sm:grid-cols-[8rem_minmax(0,1fr)_13rem]">
        <span className="col-span-2 sm:col-span-1">
          <TargetLabel status={target.status} />
        </span>
        <span className="flex min-w-0 items-start gap-1">
          <ChevronIcon className={`mt-0.5 text-muted ${open ? "rotate-90" : ""}`} />
          <span className="min-w-0">
            <span className="font-medium [overflow-wrap:anywhere]">{target.label}</span>
            {target.aspect !== "" && <span className="text-muted"> · {target.aspect}</span>}
            {target.kind !== "" && !tests && <span className="text-muted"> · {target.kind.replace(/ rule$/, "")}</span>}
          </span>
        </span>
        <span className="text-right text-muted">{side.filter((part) => part !== "").join(" · ")}</span>
      </button>
      {open && <TargetDetails target={target} />}
    </li>
  );
}

function Filter({ tests, total, shown }: { tests: boolean; total: bigint; shown: boolean }) {
  const search = invocationRoute.useSearch();
  const navigate = useNavigate({ from: "/invocations/$invocationId" });
  const [typed, setTyped] = useState(search.q ?? "");
  const go = useEffectEvent((q: string) => {
    if (q !== (search.q ?? "")) void navigate({ search: ({ q: _, ...before }) => ({ ...before, ...(q === "" ? {} : { q }) }), replace: true });
  });
  useEffect(() => {
    const timer = setTimeout(() => go(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const failed = search.only === "failed";
  return (
    <div className="flex flex-wrap items-center gap-2">
      <input
        type="search"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        placeholder="//label"
        aria-label={tests ? "Search tests" : "Search targets"}
        spellCheck={false}
        autoComplete="off"
        className="h-7 min-w-0 flex-[1_1_12rem] rounded-md border border-line-strong bg-raised px-2 placeholder:text-muted sm:max-w-72"
      />
      <button
        type="button"
        aria-pressed={failed}
        onClick={() => void navigate({ search: ({ only: _, ...before }) => ({ ...before, ...(failed ? {} : { only: "failed" as const }) }), replace: true })}
        className={`h-7 rounded-full border px-2.5 whitespace-nowrap ${failed ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`}
      >
        Only failures
      </button>
      <span className="text-muted">{shown && `${countText(total)} ${tests ? (total === 1n ? "test" : "tests") : total === 1n ? "target" : "targets"}`}</span>
    </div>
  );
}
