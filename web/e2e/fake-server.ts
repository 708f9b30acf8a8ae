// A stand-in for the server, for what a real one can't be asked for on a whim: a log of ten million lines, a stream that
// breaks, a burst. Serves the built pages with the same content security policy. Knows no engine; state is made up.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { readFileSync, existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { LogService, LogMark_Kind, type GetLogRoomResponseSchema } from "../src/gen/millrace/v1/log_pb.js";
import { PipelineService, RunSchema, State, type Run } from "../src/gen/millrace/v1/pipeline_pb.js";
import { RunnerSchema, RunnerService } from "../src/gen/millrace/v1/runner_pb.js";
import { RunnerState } from "../src/gen/pkg/proto/runner/v1/runner_pb.js";
import { cacheRoutes, casAnswer, FakeCache } from "./fake-cache.js";
import { FakeLog } from "./fake-log.js";
import { FakeQueue, queueRoutes } from "./fake-queue.js";

export const CSP = "default-src 'self'; style-src 'self'; script-src 'self'; worker-src 'self'; img-src 'self' data:; connect-src 'self'";

export interface Fake {
  url: string;
  logs: Map<string, FakeLog>;
  runs: Map<string, Run>;
  cache: FakeCache;
  queue: FakeQueue;
  /** What the log room says of itself. */
  room: MessageInitShape<typeof GetLogRoomResponseSchema>;
  /** Calls by method name. */
  calls: Map<string, number>;
  /** Set to make the server ask for a token. */
  locked: boolean;
  changed(run: Run): void;
  close(): Promise<void>;
}

/** Starts one on a free port. */
export async function startFake(): Promise<Fake> {
  const logs = new Map<string, FakeLog>();
  const runs = new Map<string, Run>();
  const calls = new Map<string, number>();
  const cache = new FakeCache();
  const queue = new FakeQueue();
  const watchers = new Set<(run: Run) => void>();
  const room: Fake["room"] = { usage: [], namedLogs: [] };
  const api = connectNodeAdapter({
    routes: (router) => {
      routes(router, { logs, runs, calls, watchers, queue, room: () => fake.room });
      cacheRoutes(router, cache);
      queueRoutes(router, queue);
    },
  });
  const fake = { url: "", logs, runs, cache, queue, room, calls, locked: false, changed: (run: Run) => watchers.forEach((tell) => tell(run)) };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://fake").pathname;
    if (path === "/api/session") session(fake, request, response);
    else if (casAnswer(cache, path, request, response)) return;
    else if (/^\/(millrace\.v1|build\.bazel|google\.bytestream|google\.longrunning)\./.test(path)) {
      if (fake.locked) response.writeHead(401, { "content-type": "application/json" }).end('{"code":"unauthenticated","message":"sign in"}');
      else api(request, response);
    } else if (/^\/logs\/[^/]+\/raw$/.test(path)) response.writeHead(200, { "content-type": "text/plain" }).end("raw\n");
    else page(path, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  fake.url = `http://127.0.0.1:${address.port}`;
  return Object.assign(fake, {
    close: () =>
      new Promise<void>((done) => {
        server.closeAllConnections();
        server.close(() => done());
      }),
  });
}

/** A run with two matrix jobs, a failing one and a skipped one. */
export function sampleRun(id: string, number: bigint, state: State, startedMs: number): Run {
  const at = (ms: number) => timestampFromMs(startedMs + ms);
  const final = state >= State.SUCCESS;
  const step = (index: number, name: string, of: State, logId: string, message = "") => ({ index, name, state: of, logId, message, startedAt: of >= State.RUNNING && of !== State.SKIPPED ? at(index * 1500) : undefined, finishedAt: of >= State.SUCCESS && of !== State.SKIPPED ? at(index * 1500 + 1400) : undefined });
  const failed = state === State.FAILURE;
  const job = (key: string, jobId: string, of: State, more: object = {}) => ({
    key,
    jobId,
    name: key,
    state: of,
    runsOn: ["linux"],
    runnerName: "built-in",
    executions: 1,
    queuedAt: at(0),
    startedAt: of >= State.RUNNING && of !== State.SKIPPED ? at(100) : undefined,
    finishedAt: of >= State.SUCCESS && of !== State.SKIPPED ? at(8_000) : undefined,
    steps: [step(0, "Check out", State.SUCCESS, `${id}.checkout`), step(1, "Build with a name that is too long for the narrow column it stands in", of === State.SKIPPED ? State.SKIPPED : State.SUCCESS, `${id}.build`), step(2, "Test", of, `${id}.test`, of === State.FAILURE ? "exit code 3" : ""), step(3, "Clean up", final ? State.SUCCESS : State.PENDING, `${id}.clean`)],
    ...more,
  });
  return create(RunSchema, {
    id,
    number,
    attempt: 1,
    project: "default",
    name: "self-test",
    fileName: "examples/self.yml",
    state,
    actor: "ada",
    event: "workflow_dispatch",
    createdAt: at(-300),
    startedAt: at(0),
    finishedAt: final ? at(9_000) : undefined,
    jobsTotal: 5,
    jobsDone: final ? 5 : 2,
    revision: 1n,
    jobs: [
      job("lint", "lint", State.SUCCESS),
      job("test (linux, 1)", "test", State.SUCCESS, { matrix: { os: "linux", shard: "1" }, needs: ["lint"] }),
      job("test (linux, 2)", "test", failed ? State.FAILURE : state, { matrix: { os: "linux", shard: "2" }, needs: ["lint"] }),
      job("docs", "docs", State.SUCCESS, { needs: ["lint"], outputs: { word: "millrace" }, steps: [{ ...step(0, "Write", State.SUCCESS, `${id}.docs`), summary: "# Coverage\n\n| file | lines |\n| --- | --- |\n| `main.rs` | **97 %** |\n\n- [x] built\n- [ ] published <script>alert(1)</script>\n" }] }),
      job("deploy", "deploy", failed ? State.SKIPPED : final ? State.SUCCESS : State.PENDING, { needs: ["test (linux, 1)", "test (linux, 2)", "docs"], message: failed ? "a job it needs failed: test (linux, 2)" : "" }),
    ],
  });
}

interface Rooms {
  logs: Map<string, FakeLog>;
  runs: Map<string, Run>;
  calls: Map<string, number>;
  watchers: Set<(run: Run) => void>;
  queue: FakeQueue;
  room: () => Fake["room"];
}

function routes(router: ConnectRouter, { logs, runs, calls, watchers, queue, room }: Rooms): void {
  const count = (name: string) => calls.set(name, (calls.get(name) ?? 0) + 1);
  const find = (id: string) => {
    const log = logs.get(id);
    if (log === undefined) throw new ConnectError(`log ${id} not found${id.startsWith("old.") ? ": retention removed it 3 days ago" : ""}`, Code.NotFound);
    return log;
  };
  const run = (id: string) => {
    const found = runs.get(id) ?? [...runs.values()].find((each) => String(each.number) === id);
    if (found === undefined) throw new ConnectError(`no run ${id}`, Code.NotFound);
    return found;
  };
  router.service(LogService, {
    getLog: ({ logId }) => (count("GetLog"), { log: find(logId).info() }),
    readLines: ({ logId, firstLine, maxLines, lastLines }) => {
      count("ReadLines");
      const log = find(logId);
      const from = lastLines > 0n ? Math.max(0, log.lines - Number(lastLines)) : Number(firstLine);
      return log.read(from, maxLines === 0 ? 1000 : maxLines);
    },
    async *follow({ logId, start }, context) {
      count("Follow");
      const log = find(logId);
      yield* log.follow(start.case === "offset" ? { offset: Number(start.value) } : { lastLines: Number(start.value ?? 0n) }, context.signal);
    },
    async *search(request, context) {
      count("Search");
      // Two of the ways in which the syntax of the real one differs.
      if (request.regex && /^\*|\(\?[=!<]/.test(request.pattern)) throw new ConnectError("pattern: repetition operator missing expression", Code.InvalidArgument);
      try {
        yield* find(request.logId).search(request, context.signal);
      } catch (error) {
        throw error instanceof SyntaxError ? new ConnectError(`pattern: ${error.message}`, Code.InvalidArgument) : error;
      }
    },
    getLogRoom: ({ pageSize, pageToken }) => {
      count("GetLogRoom");
      const { usage, retention, lastSweep, logMaxBytes, namedLogs = [] } = room();
      const from = Number(pageToken);
      const next = from + (pageSize === 0 ? namedLogs.length : pageSize);
      return { usage, retention, lastSweep, logMaxBytes, namedLogs: namedLogs.slice(from, next), nextPageToken: next < namedLogs.length ? String(next) : "" };
    },
  });
  router.service(PipelineService, {
    getRun: ({ runId }) => (count("GetRun"), { run: run(runId) }),
    listRuns: ({ states, pageSize, pageToken }) => {
      count("ListRuns");
      const all = [...runs.values()].filter((each) => states.length === 0 || states.includes(each.state)).sort((a, b) => Number(b.number - a.number));
      const from = Number(pageToken);
      const to = from + (pageSize === 0 ? 50 : pageSize);
      return { runs: all.slice(from, to).map((each) => create(RunSchema, { ...each, jobs: [] })), nextPageToken: to < all.length ? String(to) : "" };
    },
    async *watchRun({ runId }, context) {
      count("WatchRun");
      for await (const each of changes(watchers, context.signal, run(runId))) {
        if (each.id === runId) yield { run: each };
        if (each.id === runId && each.state >= State.SUCCESS) return;
      }
    },
    async *watchRuns(_request, context) {
      count("WatchRuns");
      yield {};
      for await (const each of changes(watchers, context.signal)) yield { run: create(RunSchema, { ...each, jobs: [] }) };
    },
  });
  router.service(RunnerService, {
    listRunners: () => ({
      runners: [
        create(RunnerSchema, { id: 1n, uuid: "0b7f3f0e-1111-4222-8333-444455556666", name: "built-in", state: RunnerState.ACTIVE, version: "0.1.0", labels: ["linux", "amd64", "self-hosted"], os: "linux", arch: "amd64", slots: 2, lastSeenAt: timestampFromMs(Date.now()), registeredAt: timestampFromMs(Date.now() - 86_400_000), tasks: [{ runId: "r1", runNumber: 1n, jobKey: "test (linux, 2)", startedAt: timestampFromMs(Date.now() - 12_000) }] }),
        create(RunnerSchema, { id: 2n, uuid: "1b7f3f0e-1111-4222-8333-444455556666", name: "win-17", state: RunnerState.IDLE, version: "0.1.0", labels: ["windows"], os: "windows", arch: "amd64", slots: 1, draining: true, lastSeenAt: timestampFromMs(Date.now()) }),
        create(RunnerSchema, { id: 3n, uuid: "2b7f3f0e-1111-4222-8333-444455556666", name: "mac-3", state: RunnerState.OFFLINE, version: "0.0.9", labels: ["macos", "arm64"], os: "darwin", arch: "arm64", slots: 1, lastSeenAt: timestampFromMs(Date.now() - 7_200_000) }),
        create(RunnerSchema, { id: 4n, uuid: "3b7f3f0e-1111-4222-8333-444455556666", name: "idle-1", state: RunnerState.IDLE, version: "0.1.0", labels: ["linux"], os: "linux", arch: "arm64", slots: 4, ephemeral: true, lastSeenAt: timestampFromMs(Date.now()) }),
      ],
    }),
    drainRunner: ({ uuid, resume }) => {
      queue.asked.push(`${resume ? "resume" : "drain"} ${uuid}`);
      return {};
    },
    createRegistrationToken: () => ({ token: "mrr_0123456789abcdef", expiresAt: timestampFromMs(Date.now() + 3_600_000) }),
  });
}

async function* changes(watchers: Set<(run: Run) => void>, signal: AbortSignal, first?: Run): AsyncGenerator<Run> {
  const queue: Run[] = first === undefined ? [] : [first];
  let wake = () => {};
  const tell = (run: Run) => {
    queue.push(run);
    wake();
  };
  watchers.add(tell);
  signal.addEventListener("abort", () => wake());
  try {
    while (!signal.aborted) {
      const next = queue.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((done) => (wake = done));
    }
  } finally {
    watchers.delete(tell);
  }
}

function session(fake: { locked: boolean }, request: IncomingMessage, response: ServerResponse): void {
  if (request.method === "POST") {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      const good = (JSON.parse(body) as { token?: string }).token === "good";
      if (good) fake.locked = false;
      response.writeHead(good ? 204 : 401).end();
    });
    return;
  }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ authenticated: !fake.locked, role: fake.locked ? "" : "admin", mode: fake.locked ? "serve" : "dev" }));
}

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

function page(path: string, response: ServerResponse): void {
  const name = path.includes("..") ? "/index.html" : path;
  const file = join(DIST, name);
  const found = extname(name) !== "" && existsSync(file) ? file : join(DIST, "index.html");
  response.writeHead(200, { "content-type": TYPES[extname(found)] ?? "application/octet-stream", "content-security-policy": CSP }).end(readFileSync(found));
}

export { LogMark_Kind };
