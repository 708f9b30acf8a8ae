// Builds that were told of by their build tool, newest first, live.
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useEffectEvent, useRef, useState } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { millis } from "@/api/state";
import { errorText } from "@/api/transport";
import { INVOCATION_STATUS_NAMES, invocationsRoute, type InvocationsSearch } from "@/app/router";
import { bazelrcEvents } from "@/cache/bazelrc";
import { isOff } from "@/execution/recent-executions";
import { InvocationService, type Invocation } from "@/gen/millrace/v1/invocation_pb";
import { Button } from "@/ui/button";
import { Command, CopyCurl } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { useShortcut } from "@/ui/shortcuts";
import { Ago, Duration } from "@/ui/time";
import { countsText, endOf, invocationTitle, STATUS_BY_NAME, StatusLabel, statusWord, whoText } from "./standing";

const POLL_MS = 2_000;
const PAGE_SIZE = 50;
const TYPING_MS = 300;

export function InvocationsPage() {
  const search = invocationsRoute.useSearch();
  const { mode } = useRights();
  const request = { pageSize: PAGE_SIZE, pageToken: "", text: search.q ?? "", statuses: search.status === undefined ? [] : [STATUS_BY_NAME[search.status]] };
  const { data, error, isPending, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(InvocationService.method.listInvocations, request, {
    pageParamKey: "pageToken",
    getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken),
    refetchInterval: POLL_MS,
    placeholderData: (before) => before,
  });
  const invocations = [...new Map((data?.pages ?? []).flatMap((page) => page.invocations).map((each) => [each.id, each])).values()];
  const chosen = search.q !== undefined || search.status !== undefined;
  const list = useRef<HTMLUListElement>(null);
  useShortcut("j", "Invocations: next", () => move(list.current, 1));
  useShortcut("k", "Invocations: former", () => move(list.current, -1));
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="flex items-center gap-2">
        <h1>Invocations</h1>
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(InvocationService.method.listInvocations, request, mode === "serve")} />
      </div>
      <Filters search={search} />
      {error !== null && !isOff(error) && (
        <div className="mt-3">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      {isOff(error) ? (
        <Empty title="There are no invocations to see here">{errorText(error)}</Empty>
      ) : isPending ? (
        error === null && <Loading what="invocations" />
      ) : invocations.length === 0 ? (
        error === null && <NoInvocations chosen={chosen} />
      ) : (
        <ul ref={list} aria-label="Invocations, newest first" className="mt-2 border-t">
          {invocations.map((each) => (
            <InvocationRow key={each.id} invocation={each} />
          ))}
        </ul>
      )}
      {hasNextPage && (
        <Button look="quiet" className="mt-1" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
          {isFetchingNextPage ? "Loading more …" : "Show more"}
        </Button>
      )}
    </div>
  );
}

export function InvocationRow({ invocation }: { invocation: Invocation }) {
  const title = invocationTitle(invocation);
  const counts = countsText(invocation);
  return (
    <li>
      <Link to="/invocations/$invocationId" params={{ invocationId: invocation.id }} search={{}} preload={false} className="grid min-h-13 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border-b py-1 hover:bg-panel sm:grid-cols-[8rem_minmax(0,1fr)_7rem]">
        <span className="col-span-2 sm:col-span-1">
          <StatusLabel status={invocation.status} />
        </span>
        <span className="min-w-0">
          <span className="block truncate font-medium" title={title}>
            {title}
          </span>
          <span className="block truncate text-[12px] leading-4 text-muted">{[counts, whoText(invocation), invocation.instance].filter((part) => part !== "").join(" · ")}</span>
        </span>
        <span className="text-right text-muted">
          <span className="block">
            <Ago at={millis(invocation.startedAt) ?? millis(invocation.updatedAt)} />
          </span>
          <span className="block text-[12px] leading-4">
            <Duration from={millis(invocation.startedAt)} to={endOf(invocation)} />
          </span>
        </span>
      </Link>
    </li>
  );
}

function Filters({ search }: { search: InvocationsSearch }) {
  const navigate = useNavigate({ from: "/invocations" });
  const [typed, setTyped] = useState(search.q ?? "");
  const input = useRef<HTMLInputElement>(null);
  useShortcut("/", "Invocations: search", () => input.current?.focus());
  const go = useEffectEvent((q: string) => {
    if (q !== (search.q ?? "")) void navigate({ search: (before) => ({ ...(before.status === undefined ? {} : { status: before.status }), ...(q === "" ? {} : { q }) }), replace: true });
  });
  useEffect(() => {
    const timer = setTimeout(() => go(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const chip = (on: boolean) => `inline-flex h-7 items-center rounded-full border px-2.5 whitespace-nowrap ${on ? "border-accent bg-accent-soft font-medium" : "border-line-strong text-muted hover:bg-hover hover:text-ink"}`;
  const q = search.q === undefined ? {} : { q: search.q };
  return (
    <div className="mt-2 flex flex-wrap items-center gap-2">
      <input
        ref={input}
        type="search"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        placeholder="Command, target, user, host, id"
        aria-label="Search invocations"
        spellCheck={false}
        autoComplete="off"
        className="h-7 min-w-0 flex-[1_1_14rem] rounded-md border border-line-strong bg-raised px-2 placeholder:text-muted sm:max-w-72"
      />
      <nav aria-label="Filter by status" className="flex flex-wrap gap-1.5">
        <Link to="/invocations" search={q} className={chip(search.status === undefined)} aria-current={search.status === undefined ? "true" : undefined} activeProps={{ "aria-current": search.status === undefined ? "true" : undefined }}>
          All
        </Link>
        {INVOCATION_STATUS_NAMES.map((name) => (
          <Link key={name} to="/invocations" search={{ ...q, status: name }} className={chip(search.status === name)} aria-current={search.status === name ? "true" : undefined} activeProps={{ "aria-current": search.status === name ? "true" : undefined }}>
            {statusWord(STATUS_BY_NAME[name])}
          </Link>
        ))}
      </nav>
    </div>
  );
}

function NoInvocations({ chosen }: { chosen: boolean }) {
  const { mode } = useRights();
  if (chosen)
    return (
      <Empty title="No invocation is like that">
        <Link to="/invocations" search={{}} className="text-link">
          Show all
        </Link>
      </Empty>
    );
  return (
    <>
      <Empty title="No invocation yet">Each build whose tool is told of this server gets a page here, live: its targets, tests, log, cache and timing.</Empty>
      <h2 className="mb-1">In .bazelrc</h2>
      <Command line={bazelrcEvents({ instance: "", token: mode === "serve" })} label="Lines for .bazelrc" />
      {mode === "serve" && <p className="mt-1 text-muted">Put a token with the role execute in place of TOKEN.</p>}
    </>
  );
}

function move(list: HTMLElement | null, by: 1 | -1): void {
  const links = [...(list?.querySelectorAll<HTMLElement>("li > a") ?? [])];
  const at = links.indexOf(document.activeElement as HTMLElement);
  (links[at === -1 ? 0 : at + by] ?? links[at])?.focus();
}
