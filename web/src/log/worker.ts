// The log worker: fetches, cuts into lines and tokenizes away from the page's own thread. The only file that knows both
// the worker scope and the transport.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { LogService, type FollowResponse, type Log } from "@/gen/millrace/v1/log_pb";
import { FollowError, type Clock, type FollowEvent, type FollowStart, type LogInfo } from "./follow";
import type { FromWorker, ToWorker } from "./protocol";
import { search, type SearchPort } from "./search";
import { LogSession, type LogPort } from "./session";

const READ_MAX_BYTES = 1024 * 1024;
/** Then it is asked for again: a connection that died unnoticed would keep its place among the few there are. */
const CALL_MAX_MS = 30_000;

const scope = self as unknown as {
  location: Location;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
};

const client = createClient(
  LogService,
  createConnectTransport({ baseUrl: scope.location.origin, useBinaryFormat: true, useHttpGet: true }),
);

let current: { id: number; logId: string; session: LogSession } | undefined;
let searching = new AbortController();

scope.onmessage = ({ data: message }) => {
  if (message.type === "open") {
    searching.abort();
    current?.session.close();
    const session = new LogSession(message.session, port(message.logId), clock, (update) => scope.postMessage(update));
    current = { id: message.session, logId: message.logId, session };
    void session.run(message.live, message.opening);
    return;
  }
  if (message.type === "close") {
    searching.abort();
    current?.session.close();
    current = undefined;
    return;
  }
  if (current?.id !== message.session) return;
  if (message.type === "view") current.session.view(message.ranges, message.tail);
  else if (message.type === "ack") current.session.ack();
  else if (message.type === "search") look(current.logId, message);
  else void copy(current.session, message);
};

/** One search at a time: the last one asked for. */
function look(logId: string, { session, search: id, query }: Extract<ToWorker, { type: "search" }>): void {
  searching.abort();
  searching = new AbortController();
  if (query === undefined) return;
  void search(searchPort(logId), query, clock, searching.signal, (found) => {
    const { lines, ends, columns } = found.hits;
    scope.postMessage({ type: "found", session, search: id, ...found }, [lines.buffer, ends.buffer, columns.buffer]);
  });
}

function searchPort(logId: string): SearchPort {
  return {
    async *search({ text, regex, caseSensitive }, maxLines, signal) {
      try {
        // Of a complete log the stream ends by itself; of one that grows, what comes is wanted too.
        for await (const got of client.search({ logId, pattern: text, regex, caseSensitive, maxLines, follow: true }, { signal })) {
          const hits = got.hits.map(({ line, columns }) => ({ line: Number(line), columns }));
          yield { hits, linesSearched: Number(got.linesSearched), linesTotal: Number(got.linesTotal), matchingLines: Number(got.matchingLines), matches: Number(got.matches), truncated: got.truncated, done: got.done };
        }
      } catch (error) {
        throw meaning(error);
      }
    },
  };
}

async function copy(session: LogSession, message: Extract<ToWorker, { type: "text" }>): Promise<void> {
  const { session: id, request } = message;
  try {
    scope.postMessage({ type: "text", session: id, request, ...(await session.text(message.from, message.to)) });
  } catch {
    scope.postMessage({ type: "text", session: id, request, text: "", truncated: true });
  }
}

function port(logId: string): LogPort {
  return {
    async info(signal) {
      try {
        const { log } = await client.getLog({ logId }, { signal, timeoutMs: CALL_MAX_MS });
        return info(log);
      } catch (error) {
        if (error instanceof ConnectError && error.code === Code.NotFound) return { missing: error.rawMessage };
        throw meaning(error);
      }
    },
    async read(firstLine, maxLines, signal) {
      try {
        const got = await client.readLines({ logId, firstLine: BigInt(firstLine), maxLines, maxBytes: READ_MAX_BYTES }, { signal, timeoutMs: CALL_MAX_MS });
        return { firstLine: Number(got.firstLine), data: got.data, meta: got.lineMeta, totalLines: Number(got.totalLines), complete: got.complete, logFirstLine: Number(got.logFirstLine) };
      } catch (error) {
        throw meaning(error);
      }
    },
    async *open(start, signal) {
      try {
        for await (const message of client.follow({ logId, start: wireStart(start) }, { signal })) {
          const event = wireEvent(message);
          if (event !== undefined) yield event;
        }
      } catch (error) {
        throw meaning(error);
      }
    },
  };
}

function wireStart(start: FollowStart) {
  return "offset" in start
    ? ({ case: "offset", value: BigInt(start.offset) } as const)
    : ({ case: "lastLines", value: BigInt(start.lastLines) } as const);
}

function wireEvent({ event }: FollowResponse): FollowEvent | undefined {
  switch (event.case) {
    case "hello":
      return { type: "hello", log: info(event.value.log) };
    case "data":
      return { type: "data", offset: Number(event.value.offset), firstLine: Number(event.value.firstLine), data: event.value.data, meta: event.value.lineMeta };
    case "gap":
      return { type: "gap", offset: Number(event.value.offset), firstLine: Number(event.value.firstLine), reason: event.value.reason };
    case "heartbeat":
      return { type: "heartbeat", sizeBytes: Number(event.value.sizeBytes) };
    case "end":
      return { type: "end", sizeBytes: Number(event.value.sizeBytes), lines: Number(event.value.lines) };
    default:
      return undefined;
  }
}

function info(log: Log | undefined): LogInfo {
  return {
    lines: Number(log?.lines ?? 0n),
    sizeBytes: Number(log?.sizeBytes ?? 0n),
    complete: log?.complete ?? false,
    marks: (log?.marks ?? []).map((mark) => ({ kind: mark.kind, line: Number(mark.line) })),
    marksTruncated: log?.marksTruncated ?? false,
    firstLine: Number(log?.firstLine ?? 0n),
    firstOffset: Number(log?.firstOffset ?? 0n),
  };
}

/** Which failures another try can mend. A log that does not exist yet may exist in a moment. */
function meaning(error: unknown): FollowError {
  const failure = ConnectError.from(error);
  if (failure.code === Code.Unauthenticated) scope.postMessage({ type: "unauthenticated" });
  if (failure.code === Code.NotFound) return new FollowError("soon", failure.rawMessage);
  const fatal = [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented].includes(failure.code);
  return new FollowError(fatal ? "fatal" : "retry", failure.rawMessage);
}

const clock: Clock = {
  sleep: (ms, signal) =>
    new Promise((done) => {
      const timer = setTimeout(finish, ms);
      signal.addEventListener("abort", finish, { once: true });
      function finish() {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        done();
      }
    }),
  timer(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
