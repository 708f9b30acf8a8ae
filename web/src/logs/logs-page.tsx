// The log room: named logs, what logs take by kind, how long they are kept, and the way to any log by its id.
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useId, useRef, useState, type ReactNode } from "react";
import { curlCall } from "@/api/curl";
import { useRights } from "@/api/session";
import { errorText } from "@/api/transport";
import { Section } from "@/cache/parts";
import { Log } from "@/gen/log/v1/log_pb";
import { LogService, type GetLogRoomResponse, type LogUsage, type NamedLog } from "@/gen/millrace/v1/log_pb";
import { Button } from "@/ui/button";
import { bytesText, countText } from "@/ui/bytes";
import { Command, CopyCurl } from "@/ui/copy";
import { Alert, Empty, Loading } from "@/ui/message";
import { useShortcut } from "@/ui/shortcuts";
import { Ago, durationText } from "@/ui/time";
import { kindWord, logIdIn, ratioText, retentionLines, sweepParts } from "./words";

const POLL_MS = 5_000;
const PAGE_SIZE = 200;

export function LogsPage() {
  const { mode } = useRights();
  const { data, error, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    LogService.method.getLogRoom,
    { pageSize: PAGE_SIZE, pageToken: "" },
    {
      pageParamKey: "pageToken",
      getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken),
      refetchInterval: POLL_MS,
    },
  );
  // Each page tells the state of the whole room; named logs are made and removed between two of them.
  const room = data?.pages[0];
  const named = [...new Map((data?.pages ?? []).flatMap((page) => page.namedLogs).map((log) => [log.logId, log])).values()];
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-3 sm:px-4">
      <div className="flex items-center gap-2">
        <h1>Logs</h1>
        <span className="flex-1" />
        <CopyCurl line={() => curlCall(LogService.method.getLogRoom, {}, mode === "serve")} />
      </div>
      {error !== null && (
        <div className="mt-3">
          <Alert>{errorText(error)}</Alert>
        </div>
      )}
      <OpenLog />
      {room === undefined ? (
        error === null && <Loading what="the log room" />
      ) : (
        <Room room={room} named={named}>
          {hasNextPage && (
            <Button look="quiet" className="mt-1" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
              {isFetchingNextPage ? "Loading more …" : "Show more"}
            </Button>
          )}
        </Room>
      )}
    </div>
  );
}

function Room({ room, named, children }: { room: GetLogRoomResponse; named: readonly NamedLog[]; children: ReactNode }) {
  return (
    <>
      <Section id="named" title="Named logs">
        {named.length === 0 ? <NoNamedLogs /> : <NamedLogs logs={named} />}
        {children}
        {named.length > 0 && (
          <details className="mt-3">
            <summary className="cursor-pointer text-muted select-none hover:text-ink">Write and read records</summary>
            <div className="mt-2">
              <RecordLines />
            </div>
          </details>
        )}
      </Section>
      <Section id="usage" title="What logs take">
        <Usage usage={room.usage} />
      </Section>
      <Section id="kept" title="How long logs are kept">
        <ul className="grid max-w-2xl gap-1">
          {retentionLines(room.retention, room.logMaxBytes).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <Sweep room={room} />
      </Section>
    </>
  );
}

function NamedLogs({ logs }: { logs: readonly NamedLog[] }) {
  const list = useRef<HTMLUListElement>(null);
  useShortcut("j", "Logs: next", () => move(list.current, 1));
  useShortcut("k", "Logs: former", () => move(list.current, -1));
  return (
    <ul ref={list} aria-label="Named logs">
      {logs.map((log) => {
        const records = log.nextRecord - log.firstRecord;
        return (
          <li key={log.logId}>
            <Link to="/logs/$logId" params={{ logId: log.logId }} search={{}} className="grid min-h-11 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 border-b py-1 hover:bg-panel sm:grid-cols-[minmax(0,1fr)_11rem_7rem_8rem]">
              <span className="min-w-0 truncate font-medium" title={log.name}>
                {log.name}
                {log.readOnly && <span className="ml-2 font-normal text-muted">written by the server</span>}
              </span>
              <span className="text-right text-muted sm:text-left" title={log.firstRecord > 0n ? `Records ${countText(log.firstRecord)} to ${countText(log.nextRecord - 1n)}: those before them were removed by retention` : undefined}>
                {countText(records)} {records === 1n ? "record" : "records"}
                {log.firstRecord > 0n && `, from ${countText(log.firstRecord)}`}
              </span>
              <span className="text-muted sm:text-right">{bytesText(log.sizeBytes)}</span>
              <span className="text-right text-muted">{log.lastMillis > 0n ? <Ago at={Number(log.lastMillis)} /> : "no record yet"}</span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

function NoNamedLogs() {
  return (
    <>
      <Empty title="There are no named logs yet">A service writes records into a named log, and others read them by number or as they come. The first record makes the log.</Empty>
      <RecordLines />
    </>
  );
}

function RecordLines() {
  const { mode } = useRights();
  const log = "greetings";
  return (
    <div className="grid gap-2">
      <p className="text-muted">Write a record: its value is base64 in JSON, any bytes in gRPC (log.v1.Log).</p>
      <Command line={curlCall(Log.method.produce, { record: { value: new TextEncoder().encode("Hello, mill.") }, log }, mode === "serve")} label="Write a record" />
      <p className="text-muted">Read the first one; ConsumeStream goes on with all that come.</p>
      <Command line={curlCall(Log.method.consume, { offset: 0n, log }, mode === "serve")} label="Read a record" />
    </div>
  );
}

function Usage({ usage }: { usage: readonly LogUsage[] }) {
  const shown = usage.filter((each) => each.logs > 0n);
  if (shown.length === 0) return <p className="text-muted">Nothing yet. What steps, remote actions and builds print is kept here, and counted now and then.</p>;
  const sum = (of: (each: LogUsage) => bigint) => shown.reduce((total, each) => total + of(each), 0n);
  const rows = [...shown.map((each) => ({ word: kindWord(each.kind), logs: each.logs, size: each.sizeBytes, stored: each.storedBytes })), { word: "All", logs: sum((each) => each.logs), size: sum((each) => each.sizeBytes), stored: sum((each) => each.storedBytes) }];
  const cell = "border-b py-1 pl-3 text-right whitespace-nowrap";
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="What logs take, by kind">
      <table className="w-full max-w-3xl">
        <thead className="text-muted">
          <tr>
            <th scope="col" className="border-b py-1 text-left font-normal">
              Kind
            </th>
            {["Logs", "Length", "On the disk", "Smaller by"].map((head) => (
              <th key={head} scope="col" className={`${cell} font-normal ${head === "Smaller by" ? "hidden sm:table-cell" : ""}`}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ word, logs, size, stored }) => (
            <tr key={word} className={word === "All" ? "font-semibold" : ""}>
              <th scope="row" className={`border-b py-1 text-left ${word === "All" ? "" : "font-normal"}`}>
                {word}
              </th>
              <td className={cell}>{countText(logs)}</td>
              <td className={cell}>{bytesText(size)}</td>
              <td className={cell}>{bytesText(stored)}</td>
              <td className={`${cell} hidden text-muted sm:table-cell`}>{ratioText(size, stored)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sweep({ room: { lastSweep: sweep } }: { room: GetLogRoomResponse }) {
  if (sweep === undefined || sweep.endedMillis === 0n) return <p className="mt-2 text-muted">Nobody has looked for old logs yet since the server started; that is done soon after its start, and each hour.</p>;
  const parts = sweepParts(sweep);
  return (
    <p className="mt-2 text-muted">
      Last look for old logs <Ago at={Number(sweep.endedMillis)} />, in {durationText(Number(sweep.tookMillis))}: {parts.length === 0 ? "nothing was to be removed" : parts.join(", ")}
      {sweep.freedBytes > 0n && `; ${bytesText(sweep.freedBytes)} of the disk became free`}.
    </p>
  );
}

function OpenLog() {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useShortcut("/", "Logs: open by id", () => input.current?.focus());
  return (
    <form
      className="mt-3"
      onSubmit={(event) => {
        event.preventDefault();
        const logId = logIdIn(text);
        if (logId === "") {
          setProblem("Type or paste the id of a log, or a link to one.");
          input.current?.focus();
        } else void navigate({ to: "/logs/$logId", params: { logId }, search: {} });
      }}
    >
      <label htmlFor={id} className="font-semibold">
        Open a log by its id
      </label>
      <div className="mt-1.5 flex flex-wrap gap-2">
        <input
          ref={input}
          id={id}
          value={text}
          onChange={({ target }) => (setText(target.value), setProblem(""))}
          placeholder="The id of a step's log, a stream, a build's output"
          spellCheck={false}
          autoComplete="off"
          aria-invalid={problem !== ""}
          aria-describedby={problem === "" ? undefined : `${id}p`}
          className="h-7 min-w-0 flex-[1_1_16rem] rounded-md border border-line-strong bg-raised px-2 font-mono text-[12px] placeholder:text-muted sm:max-w-xl"
        />
        <Button type="submit">Open</Button>
      </div>
      {problem !== "" && (
        <p id={`${id}p`} role="alert" className="mt-1 text-bad">
          {problem}
        </p>
      )}
    </form>
  );
}

function move(list: HTMLElement | null, by: 1 | -1): void {
  const links = [...(list?.querySelectorAll<HTMLElement>("li > a") ?? [])];
  const at = links.indexOf(document.activeElement as HTMLElement);
  (links[at === -1 ? 0 : at + by] ?? links[at])?.focus();
}
