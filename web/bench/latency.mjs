// How long a line takes from the runner's standard output to the viewer's DOM, in a real browser: a job prints the time
// at a slow and at a fast pace, and the page compares it with its own clock when the line appears. Both are on this
// machine. Slow is slower than the runner's batches, so that each line goes alone; fast has several in a batch.
//
//   node web/bench/latency.mjs [MILLRACE]      MILLRACE: the server to start [default: target/release/millrace]
//
// CHROMIUM names the browser [default: /usr/bin/chromium]. Prints p50, p95, p99.
/* global window, MutationObserver, fetch */
import { withServer } from "./server.mjs";

const GOAL_P95_MS = 300;
const PACES = [
  { everyMs: 50, lines: 400 },
  { everyMs: 10, lines: 1500 },
];
const WAIT_MAX_MS = 120_000;
/** The first lines may come while the page still opens the log: they are not the latency of a watched one. */
const WARM_UP_LINES = 40;

const workflow = ({ everyMs, lines }) => `on: workflow_dispatch
jobs:
  clock:
    runs-on: self-hosted
    steps:
      - shell: bash
        run: |
          for ((i = 0; i < ${lines}; i++)); do
            now=\${EPOCHREALTIME/[.,]/}
            echo "printed-at \${now:0:13}"
            sleep ${everyMs / 1000}
          done
`;

await withServer({ millrace: process.argv[2] }, async (browser, url) => {
  for (const pace of PACES) report(pace, await measure(browser, url, pace));
});

async function measure(browser, url, pace) {
  const page = await browser.newPage();
  await page.addInitScript(watchLines);
  const id = await startRun(url, workflow(pace));
  await page.goto(`${url}/runs/${id}`);
  // Not all of them: those that were there before the page was, need not have stood in its DOM.
  const enough = pace.lines - WARM_UP_LINES;
  await page.waitForFunction((lines) => window.seenLines?.size >= lines, enough, { timeout: WAIT_MAX_MS });
  const samples = await page.evaluate(() => [...window.seenLines.entries()]);
  await page.close();
  return samples.sort(([a], [b]) => a - b).slice(WARM_UP_LINES).map(([, ms]) => ms);
}

async function startRun(url, workflow) {
  const answer = await fetch(`${url}/millrace.v1.PipelineService/Run`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ workflow, fileName: "latency.yml" }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`the run was refused: ${JSON.stringify(body)}`);
  return body.run.id;
}

/** In the page: the delay of each line when it first stands in the DOM. */
function watchLines() {
  window.seenLines = new Map();
  const look = () => {
    const now = Date.now();
    for (const row of document.querySelectorAll("[data-line]")) {
      const printed = /printed-at (\d{13})/.exec(row.textContent ?? "");
      const line = Number(row.dataset.line);
      if (printed && !window.seenLines.has(line)) window.seenLines.set(line, now - Number(printed[1]));
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

function report({ everyMs }, samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (percent) => sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  const p95 = at(95);
  console.log(`\nprinted-to-visible: from a job's standard output to the viewer's DOM, a line each ${everyMs} ms`);
  console.log(`  p50      ${at(50)} ms`);
  console.log(`  p95      ${p95} ms  (goal: at most ${GOAL_P95_MS} ms: ${p95 <= GOAL_P95_MS ? "met" : "MISSED"})`);
  console.log(`  p99      ${at(99)} ms`);
  console.log(`  samples  ${sorted.length}`);
}
