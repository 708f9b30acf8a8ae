// The log of a step with its toolbar. React draws the toolbar only; the rows are the view's.
import { useEffect, useEffectEvent, useRef, useState } from "react";
import { curlCall, curlGet, curlStream } from "@/api/curl";
import { useRights } from "@/api/session";
import { LogService } from "@/gen/millrace/v1/log_pb";
import { Button, buttonClass } from "@/ui/button";
import { copyText } from "@/ui/copy";
import { bytesText, countText } from "@/ui/bytes";
import { ClockIcon, CopyIcon, DownIcon, DownloadIcon, FoldIcon, FollowIcon, MoreIcon, SearchIcon, UpIcon } from "@/ui/icons";
import { Menu } from "@/ui/menu";
import { useShortcut } from "@/ui/shortcuts";
import { FindBar } from "./find-bar";
import { queryOf, type FindSearch } from "./query";
import { formatLines, parseLines, type Lines } from "./range";
import { removedText, type TimeMode } from "./row-dom";
import { useFind } from "./use-find";
import { LogView } from "./view";
import type { ViewStatus } from "./view-host";

export interface LogPaneProps {
  logId: string;
  /** What the log is of, for screen readers. */
  title: string;
  /** The step goes on: begin at the end and follow. */
  live: boolean;
  failed: boolean;
  /** When the step began, Unix milliseconds; relative times count from it. */
  origin: number;
  /** The marked lines, as in the link. */
  lines: string | undefined;
  onLines(lines: string | undefined): void;
  /** What is looked for, as in the link; without one it is kept here. */
  search?: FindSearch;
  onSearch?(search: FindSearch): void;
  /** The reader looked up from the end of a live log. */
  onStay(): void;
  onUnauthenticated(): void;
  /** How many lines there are, as often as that changes. */
  onLength?(lines: number): void;
}

const NO_SEARCH: FindSearch = {};
const TIME_KEY = "millrace-log-time";
const TIME_NEXT: Record<TimeMode, TimeMode> = { off: "clock", clock: "since", since: "off" };
const TIME_WORD: Record<TimeMode, string> = { off: "no times", clock: "clock time", since: "time since it began" };

export function LogPane(props: LogPaneProps) {
  const { logId, title, live, failed, origin, lines, search = NO_SEARCH } = props;
  const pane = useRef<HTMLElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const view = useRef<LogView>(null);
  const told = useRef<string | undefined>(undefined);
  const [status, setStatus] = useState<ViewStatus>();
  const [time, setTime] = useState<TimeMode>(storedTime);
  const [foldedLog, setFoldedLog] = useState("");
  const [copied, setCopied] = useState("");
  const { mode } = useRights();
  const chosen = parseLines(lines);
  const folded = foldedLog === logId;
  const find = useFind(logId, search, (next) => props.onSearch?.(next), pane, view);

  const onLines = useEffectEvent((chosen: Lines | undefined) => {
    const text = chosen === undefined ? undefined : formatLines(chosen);
    told.current = text;
    props.onLines(text);
  });
  const onStatus = useEffectEvent((next: ViewStatus) => {
    if (status?.following === true && !next.following && !next.complete) props.onStay();
    if (next.lines !== status?.lines) props.onLength?.(next.lines);
    setStatus(next);
  });
  const onUnauthenticated = useEffectEvent(() => props.onUnauthenticated());
  const opening = useEffectEvent(() => {
    const at = parseLines(lines);
    told.current = lines;
    view.current?.setTime(time);
    view.current?.setLines(at, false);
    view.current?.open({ logId, live, origin, query: queryOf(search), opening: at !== undefined ? { at: "line", line: at.first - 1 } : failed ? { at: "firstError" } : { at: "tail" } });
  });

  useEffect(() => {
    if (frame.current === null) return;
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "log" });
    view.current = new LogView(frame.current, { worker, onStatus: (next) => onStatus(next), onLines: (at) => onLines(at), onUnauthenticated: () => onUnauthenticated() });
    return () => {
      view.current?.close();
      view.current = null;
      worker.terminate();
    };
  }, []);
  useEffect(() => opening(), [logId]);
  useEffect(() => {
    // A link was followed, or the browser went back: not our own click.
    if (lines === told.current) return;
    told.current = lines;
    view.current?.setLines(parseLines(lines), true);
  }, [lines]);

  const cycleTime = () => {
    const next = TIME_NEXT[time];
    setTime(next);
    view.current?.setTime(next);
    try {
      localStorage.setItem(TIME_KEY, next);
    } catch {
      // Kept for this page only.
    }
  };
  const foldAll = () => {
    view.current?.foldAll(!folded);
    setFoldedLog(folded ? "" : logId);
  };
  const copyLines = async () => {
    if (chosen === undefined || view.current === null) return;
    const { text, truncated } = await view.current.text(chosen);
    const done = await copyText(text);
    setCopied(!done ? "The browser did not allow copying." : truncated ? "Copied in part: the range is too long, download the raw log." : "Copied.");
  };

  useShortcut("n", "Log: next error", () => view.current?.nextMark(1));
  useShortcut("p", "Log: former error", () => view.current?.nextMark(-1));
  useShortcut("f", "Log: follow, or stop following", () => (status?.following === true ? view.current?.pause() : view.current?.follow()));
  useShortcut("s", "Log: change how times are shown", cycleTime);
  useShortcut("z", "Log: fold or unfold all groups", foldAll);

  useShortcut("/", "Log: search (also Ctrl F)", find.open);

  const raw = `/logs/${encodeURIComponent(logId)}/raw`;
  const marks = (status?.errors ?? 0) > 0 ? `${count(status?.errors ?? 0, "error")}` : (status?.warnings ?? 0) > 0 ? count(status?.warnings ?? 0, "warning") : "";
  return (
    <section ref={pane} aria-label={title} className="flex min-h-0 flex-1 flex-col">
      <div className="flex min-h-10 flex-wrap items-center gap-y-0.5 border-b px-2 py-1 sm:gap-x-1">
        <Stand status={status} />
        <span className="flex-1" />
        {marks !== "" && (
          <span className="inline-flex items-center">
            <span className={`px-1 ${(status?.errors ?? 0) > 0 ? "text-bad" : "text-warn"}`}>{marks}</span>
            <Button look="quiet" square aria-label="Former error" title="Former error (p)" onClick={() => view.current?.nextMark(-1)}>
              <UpIcon />
            </Button>
            <Button look="quiet" square aria-label="Next error" title="Next error (n)" onClick={() => view.current?.nextMark(1)}>
              <DownIcon />
            </Button>
          </span>
        )}
        {chosen !== undefined && (
          <Button look="quiet" onClick={copyLines} title="Copy the marked lines, without their numbers">
            <CopyIcon />
            {chosen.first === chosen.last ? "Copy line" : `Copy ${countText(chosen.last - chosen.first + 1)} lines`}
          </Button>
        )}
        <Button look="quiet" square aria-pressed={find.query !== undefined} aria-label="Search" title="Search in this log (Ctrl+F or /)" onClick={() => (find.query === undefined ? find.open() : find.close())}>
          <SearchIcon className={find.query === undefined ? "" : "text-accent"} />
        </Button>
        {(status?.groups ?? 0) > 0 && (
          <Button look="quiet" square aria-pressed={folded} aria-label={folded ? "Unfold all groups" : "Fold all groups"} title={`${folded ? "Unfold" : "Fold"} all groups (z)`} onClick={foldAll}>
            <FoldIcon />
          </Button>
        )}
        <Button look="quiet" square aria-label={`Times: ${TIME_WORD[time]}`} title={`Times: ${TIME_WORD[time]} (s)`} onClick={cycleTime}>
          <ClockIcon className={time === "off" ? "" : "text-accent"} />
        </Button>
        {status !== undefined && !status.complete && (
          <Button look="quiet" square aria-pressed={status.following} aria-label="Follow" title="Follow the end of the log (f)" onClick={() => (status.following ? view.current?.pause() : view.current?.follow())}>
            <FollowIcon className={status.following ? "text-accent" : ""} />
          </Button>
        )}
        <a href={`${raw}?download=1`} className={buttonClass("quiet", true)} aria-label="Download the raw log" title="Download the raw log">
          <DownloadIcon />
        </a>
        <Menu
          trigger={
            <Button look="quiet" square aria-label="More about this log">
              <MoreIcon />
            </Button>
          }
          items={[
            { label: "Open the raw log", onSelect: () => window.open(raw, "_blank", "noopener") },
            { label: "Copy the log's id", onSelect: () => void copyText(logId) },
            { label: "Copy as curl: raw log", onSelect: () => void copyText(curlGet(raw, mode === "serve")) },
            { label: "Copy as curl: live tail", onSelect: () => void copyText(curlGet(`${raw}?follow=1`, mode === "serve").replace("curl -s", "curl -sN")) },
            { label: "Copy as curl: last 100 lines", onSelect: () => void copyText(curlCall(LogService.method.readLines, { logId, lastLines: 100n, text: true }, mode === "serve")) },
            { label: "Copy as curl: size and marks", onSelect: () => void copyText(curlCall(LogService.method.getLog, { logId }, mode === "serve")) },
            ...(find.query === undefined || find.query.text === ""
              ? []
              : [{ label: "Copy as curl: this search", onSelect: () => void copyText(curlStream(LogService.method.search, { logId, pattern: find.query?.text ?? "", regex: find.query?.regex ?? false, caseSensitive: find.query?.caseSensitive ?? false, withText: true }, mode === "serve")) }]),
          ]}
        />
      </div>
      {find.query !== undefined && (
        <FindBar handle={find.bar} query={find.query} status={status?.find} only={status?.only ?? false} onQuery={find.look} onStep={find.step} onOnly={(only) => view.current?.showOnly(only)} onClose={find.close} />
      )}
      {copied !== "" && (
        <p role="status" className="sr-only">
          {copied}
        </p>
      )}
      <div className="relative min-h-0 flex-1">
        <div ref={frame} className="log-view absolute inset-0" tabIndex={0} role="region" aria-label={`Lines of ${title}`} data-testid="log" />
        {status?.missing !== undefined && (
          <div className="absolute inset-x-0 top-8 px-4 text-center">
            <p className="font-medium">There is no log</p>
            <p className="text-muted">{status.missing}</p>
          </div>
        )}
        {status !== undefined && status.missing === undefined && status.known && status.complete && status.lines === 0 && <p className="pointer-events-none absolute inset-x-0 top-8 text-center text-muted">Nothing was printed.</p>}
        {status !== undefined && !status.complete && !status.following && status.newLines > 0 && (
          <button type="button" onClick={() => view.current?.follow()} className="absolute bottom-4 left-1/2 inline-flex h-7 -translate-x-1/2 items-center gap-1.5 rounded-full bg-accent px-3 font-medium text-accent-ink shadow-md">
            <DownIcon /> {count(status.newLines, "new line")}
          </button>
        )}
      </div>
    </section>
  );
}

/** Whether the log is live, and how long it is. */
function Stand({ status }: { status: ViewStatus | undefined }) {
  if (status === undefined) return <span className="px-1 text-muted">Loading …</span>;
  const { removed } = status;
  const size = `${count(status.lines - removed.lines, "line")} · ${bytesText(status.sizeBytes - removed.bytes)}`;
  const known = !status.known ? "Loading …" : status.missing !== undefined ? "" : size;
  if (status.connection === "failed") return <span className="px-1 text-bad">✗ {status.message}</span>;
  if (status.connection === "waiting") {
    return (
      <span className="px-1 text-warn" title={status.message}>
        ↻ Connection lost, trying again <span className="text-muted">· {size}</span>
      </span>
    );
  }
  return (
    <span className="inline-flex items-center gap-1.5 px-1 text-muted" data-testid="log-stand" data-connection={status.connection} data-following={status.following}>
      {!status.complete && status.connection === "live" && (
        <span className="inline-flex items-center gap-1.5 font-medium text-run">
          <span className="size-2 rounded-full bg-run" aria-hidden="true" />
          Live
        </span>
      )}
      <span className={status.connection === "live" ? "hidden sm:inline" : ""}>{known}</span>
      {removed.lines > 0 && <span title={removedText(removed)}>· from line {countText(removed.lines + 1)}</span>}
      {status.marksTruncated && <span title="Only the first groups and errors are listed; the lines themselves are all there.">· marks cut</span>}
    </span>
  );
}

function count(n: number, word: string): string {
  return `${countText(n)} ${word}${n === 1 ? "" : "s"}`;
}

function storedTime(): TimeMode {
  try {
    const stored = localStorage.getItem(TIME_KEY);
    return stored === "clock" || stored === "since" ? stored : "off";
  } catch {
    return "off";
  }
}
