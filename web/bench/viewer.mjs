// The log viewer on a log of ten million lines (1 GB), written by UpdateLog through an agent of this file's own, in a
// real browser: first paint of the tail, jumps, scrolling, a search as the reader sees it, and the heap after all that.
//
//   node web/bench/viewer.mjs [--lines N] [--shots DIR] [--data DIR] [MILLRACE]
//
// MILLRACE: the server to start [default: target/release/millrace]. --shots leaves pictures there, light and dark. --data
// is the folder that the server's scratch folder is made in. CHROMIUM names the browser [default: /usr/bin/chromium].
/* global window, fetch, Buffer, performance, requestAnimationFrame, setTimeout, MutationObserver */
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withServer } from "./server.mjs";

const GOALS = { paintMs: 300, jumpMs: 150, heapMb: 100, frameMs: 20, firstHitMs: 1_000, allMs: 3_000 };
const BATCH_ROWS = 10_000;
const ROW_CHARS = 99;
const PAINTS = 5;
const JUMPS = 25;
const SCROLL_MS = 6_000;
const SCROLL_PX_A_FRAME = 60;
const WAIT_MAX_MS = 300_000;
const LABEL = "bench-viewer";
/** In one line of a thousand, and in one line of all. */
const FREQUENT = "the wheel stalled";
const RARE = "the dam broke";

const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: { lines: { type: "string", default: "10000000" }, shots: { type: "string" }, data: { type: "string", default: tmpdir() } } });
const lines = Number(flags.lines);
const table = [];
await withServer({ millrace: positionals[0], scratch: flags.data, chromiumArgs: ["--enable-precise-memory-info"] }, async (browser, url) => {
  const logId = await writeLog(url);
  await measure(browser, `${url}/logs/${encodeURIComponent(logId)}`);
  report();
});

async function call(url, method, body, token) {
  const answer = await fetch(`${url}/${method}`, { method: "POST", headers: { "content-type": "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }, body: JSON.stringify(body) });
  const got = await answer.json();
  if (!answer.ok) throw new Error(`${method}: ${JSON.stringify(got)}`);
  return got;
}

/** An agent takes a job and prints its log; answers the log's id. */
async function writeLog(url) {
  const runners = "pkg.proto.runner.v1.RunnerService";
  const { token: registration } = await call(url, "millrace.v1.RunnerService/CreateRegistrationToken", {});
  const { runner } = await call(url, `${runners}/Register`, { name: LABEL, token: registration, version: "bench", labels: [LABEL] });
  const { token } = runner;
  await call(url, `${runners}/Declare`, { token, uuid: runner.uuid, version: "bench", labels: [LABEL], slots: 1, os: "linux", arch: "amd64" }, token);
  const workflow = `on: workflow_dispatch\njobs:\n  job:\n    runs-on: ${LABEL}\n    steps:\n      - run: 'true'\n`;
  await call(url, "millrace.v1.PipelineService/Run", { workflow, fileName: "viewer.yml" });
  const got = await call(url, `${runners}/FetchTask`, { token, waitMs: 30_000 }, token);
  if (!got.success) throw new Error(`no task came: ${got.message}`);
  const task = JSON.parse(got.content);
  const address = { txUuid: task.tx_uuid, stageIdx: task.stage_idx ?? 0, stepRowIdx: task.step_row_idx ?? 0, stepIdx: task.step_idx ?? 0, epoch: String(task.epoch ?? 0) };
  const state = (of) => call(url, `${runners}/UpdateTask`, { ...address, state: { state: of, actions: [{ state: of, startTime: String(Date.now()) }] } }, token);
  await state("running");
  const began = Date.now();
  for (let first = 0; first < lines; first += BATCH_ROWS) {
    const count = Math.min(BATCH_ROWS, lines - first);
    const answer = await fetch(`${url}/${runners}/UpdateLog`, { method: "POST", headers: { "content-type": "application/proto", authorization: `Bearer ${token}` }, body: updateLog(task, first, count, first + count === lines) });
    if (!answer.ok) throw new Error(`UpdateLog: ${await answer.text()}`);
    await answer.arrayBuffer();
    if (first % (BATCH_ROWS * 20) === 0) await call(url, `${runners}/UpdateTask`, { ...address }, token);
  }
  await state("success");
  const secs = (Date.now() - began) / 1000;
  console.log(`${lines} lines written in ${secs.toFixed(1)} s: ${(lines / secs / 1e6).toFixed(2)} million lines/s through one step\n`);
  return [task.tx_uuid, task.stage_idx ?? 0, task.step_row_idx ?? 0, task.step_idx ?? 0, task.epoch ?? 0, 0].join(".");
}

/** UpdateLogRequest, put together here: JSON would take longer than the server. */
function updateLog(task, first, count, last) {
  const out = Buffer.allocUnsafe(count * (ROW_CHARS + 4) + 512);
  let at = 0;
  const varint = (value) => {
    let rest = BigInt(value);
    while (rest > 0x7fn) {
      out[at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    out[at++] = Number(rest);
  };
  const number = (field, value) => (varint(field << 3), varint(value));
  const text = (field, value) => {
    varint((field << 3) | 2);
    varint(value.length);
    at += out.write(value, at, "latin1");
  };
  text(1, task.tx_uuid);
  number(2, task.stage_idx ?? 0);
  number(3, task.step_row_idx ?? 0);
  number(4, task.step_idx ?? 0);
  number(6, first);
  for (let i = 0; i < count; i += 1) text(7, row(first + i));
  number(8, last ? 1 : 0);
  number(17, task.epoch ?? 0);
  return out.subarray(0, at);
}

function row(line) {
  const number = String(line + 1).padStart(8, "0");
  if (line === Math.floor(lines * 0.9876)) return `${number} ${RARE}`.padEnd(ROW_CHARS, " ");
  if (line % 1_000 === 777) return `${number} \x1b[1;31mfailed\x1b[0m: ${FREQUENT}, started again`.padEnd(ROW_CHARS, ".");
  if (line % 5 === 0) return `${number} \x1b[32m[ok]\x1b[0m grinding flour of field ${line % 97} between stones ${line % 13} and ${line % 7} `.padEnd(ROW_CHARS, "=");
  return `${number} [info] water level ${line % 1_013} mm, wheel at ${line % 61} rpm, sack ${line % 4_099} of 4099 `.padEnd(ROW_CHARS, ".");
}

async function measure(browser, address) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 850 } });
  const cold = await paint(context, address);
  const warm = [];
  for (let i = 0; i < PAINTS; i += 1) warm.push(await paint(context, address));
  figure("first paint of the tail, nothing cached", cold, "ms");
  figure("first paint of the tail, median of " + PAINTS, at(warm, 50), "ms", GOALS.paintMs);

  const page = await context.newPage();
  const heap = await heapOf(page);
  await page.goto(address);
  await page.waitForSelector(`[data-line="${lines}"]:not([data-pending])`, { timeout: WAIT_MAX_MS });
  const first = await heap();
  const jumps = [];
  for (let i = 0; i < JUMPS; i += 1) jumps.push(await jump(page, ((i * 7_919) % 1_000) / 1_000));
  figure(`jump to any line, p50 of ${JUMPS}`, at(jumps, 50), "ms");
  figure("jump to any line, p95", at(jumps, 95), "ms", GOALS.jumpMs);
  figure("jump to any line, worst", at(jumps, 100), "ms");

  await jump(page, 0.4);
  const { frames, empty } = await page.evaluate(scroll, { ms: SCROLL_MS, px: SCROLL_PX_A_FRAME });
  figure(`frames while scrolling ${SCROLL_MS / 1000} s, p50`, at(frames, 50), "ms");
  figure("frames while scrolling, p95", at(frames, 95), "ms");
  const late = frames.filter((ms) => ms > GOALS.frameMs).length / frames.length;
  figure(`frames over ${GOALS.frameMs} ms`, late * 100, "%", 5);
  figure("frames with a row that was not there yet", (empty / frames.length) * 100, "%");
  const idle = await page.evaluate(scroll, { ms: 2_000, px: 0 });
  figure("for comparison: frames of the same page at rest, p95", at(idle.frames, 95), "ms");

  await search(page, FREQUENT, "a text in each 1 000th line");
  await shots(page);
  await search(page, RARE, "a text in one line, near the end");
  const after = await heap();
  figure("heap of page and worker when the tail was shown", first, "MB");
  figure("heap of page and worker after all of this", after, "MB", GOALS.heapMb);
  await context.close();
}

/** From the navigation to the last line in the DOM, by the page's own clock. */
async function paint(context, address) {
  const page = await context.newPage();
  await page.addInitScript((last) => {
    const look = () => {
      if (document.querySelector(`[data-line="${last}"]:not([data-pending])`) === null) return;
      watch.disconnect();
      requestAnimationFrame(() => (window.painted = performance.now()));
    };
    const watch = new MutationObserver(look);
    watch.observe(document, { subtree: true, childList: true, attributes: true });
  }, lines);
  await page.goto(address);
  await page.waitForFunction(() => window.painted !== undefined, undefined, { timeout: WAIT_MAX_MS });
  const ms = await page.evaluate(() => window.painted);
  await page.close();
  return ms;
}

/** Drags the bar to a share of its way; how long until all rows there are on the screen. */
function jump(page, share) {
  return page.getByTestId("log").evaluate(
    async (el, { share, lines }) => {
      const began = performance.now();
      el.scrollTop = share * (el.scrollHeight - el.clientHeight);
      for (;;) {
        await new Promise((done) => requestAnimationFrame(done));
        const rect = el.getBoundingClientRect();
        const shown = [...el.querySelectorAll("[data-line]")].filter((row) => row.getBoundingClientRect().bottom > rect.top && row.getBoundingClientRect().top < rect.bottom);
        const near = Math.abs(Number(shown[0]?.dataset.line) - share * lines) < lines / 1_000;
        if (near && shown.length > 20 && shown.every((row) => row.dataset.pending === undefined)) return performance.now() - began;
        if (performance.now() - began > 20_000) throw new Error(`no rows at ${share}: line ${shown[0]?.dataset.line} is at the top, ${shown.filter((row) => row.dataset.pending !== undefined).length} of ${shown.length} are not there; ${el.closest("section")?.innerText.slice(0, 200)}`);
      }
    },
    { share, lines },
  );
}

/** In the page: scrolls by some pixels each frame; how long each frame took, and in how many a row was missing. */
async function scroll({ ms, px }) {
  const el = document.querySelector("[data-testid=log]");
  const frames = [];
  let empty = 0;
  let last = performance.now();
  const end = last + ms;
  while (last < end) {
    el.scrollTop += px;
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    frames.push(now - last);
    last = now;
    if (el.querySelector("[data-pending]") !== null) {
      const rect = el.getBoundingClientRect();
      if ([...el.querySelectorAll("[data-pending]")].some((row) => row.getBoundingClientRect().bottom > rect.top && row.getBoundingClientRect().top < rect.bottom)) empty += 1;
    }
  }
  return { frames, empty };
}

async function search(page, text, what) {
  // The search goes on from the reader's place: that of all lines begins at the first.
  await page.getByTestId("log").focus();
  await page.keyboard.press("Home");
  await page.waitForSelector('[data-line="1"]:not([data-pending])');
  await page.keyboard.press("Control+f");
  const field = page.getByRole("textbox", { name: "Search in this log" });
  await field.fill("");
  const watch = page.evaluate(async (limit) => {
    const began = performance.now();
    let [first, all] = [undefined, undefined];
    for (;;) {
      await new Promise((done) => setTimeout(done, 4));
      const now = performance.now() - began;
      if (document.querySelector("mark.lh") !== null) first ??= now;
      const stand = document.querySelector("[data-testid=find-stand]");
      if (stand?.dataset.state === "done") all ??= now;
      if (first !== undefined && all !== undefined) return { first, all, said: stand.textContent };
      if (now > limit) throw new Error("the search did not end");
    }
  }, WAIT_MAX_MS);
  await field.fill(text);
  const { first, all, said } = await watch;
  console.log(`search for ${what}: ${said}`);
  figure(`search, ${what}: first hit on the screen`, first, "ms", what.includes("1 000th") ? GOALS.firstHitMs : undefined);
  figure(`search, ${what}: all`, all, "ms", GOALS.allMs);
}

/** The heaps of the page and of its worker, array buffers and the DOM's own included, after a collection. */
async function heapOf(page) {
  const session = await page.context().newCDPSession(page);
  const answers = new Map();
  let next = 1;
  let worker;
  session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => targetInfo.type === "worker" && (worker = sessionId));
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result } = JSON.parse(message);
    answers.get(id)?.(result);
  });
  await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const inWorker = (method) =>
    new Promise((done) => {
      const id = next++;
      answers.set(id, done);
      void session.send("Target.sendMessageToTarget", { sessionId: worker, message: JSON.stringify({ id, method }) });
    });
  const sum = ({ usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 }) => (usedSize + embedderHeapUsedSize + backingStorageSize) / 1e6;
  return async () => {
    if (worker === undefined) throw new Error("the page has no worker");
    await session.send("HeapProfiler.collectGarbage");
    await inWorker("HeapProfiler.collectGarbage");
    return sum(await session.send("Runtime.getHeapUsage")) + sum(await inWorker("Runtime.getHeapUsage"));
  };
}

async function shots(page) {
  if (flags.shots === undefined) return;
  await mkdir(flags.shots, { recursive: true });
  await page.getByRole("textbox", { name: "Search in this log" }).press("Enter");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(flags.shots, `viewer-ten-million-${colorScheme}.png`) });
  }
}

function figure(what, value, unit, goal) {
  table.push({ what, value, unit, goal });
}

function report() {
  console.log(`\nlog viewer: ${lines} lines of ${ROW_CHARS + 1} bytes, Chromium, server and browser on this machine`);
  for (const { what, value, unit, goal } of table) {
    const verdict = goal === undefined ? "" : `  (goal: at most ${goal} ${unit}: ${value <= goal ? "met" : "MISSED"})`;
    console.log(`  ${what.padEnd(66)} ${value === undefined ? "never" : value.toFixed(value < 100 ? 1 : 0).padStart(8)} ${unit}${verdict}`);
  }
}

function at(values, percent) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
}
