// The log viewer under what a real server does only seldom: ten million lines, bursts, broken streams.
import { expect, test, type Page } from "@playwright/test";
import { State } from "../src/gen/millrace/v1/pipeline_pb.js";
import { FakeLog } from "./fake-log.js";
import { sampleRun, startFake, type Fake } from "./fake-server.js";

const TEN_MILLION = 10_000_000;
const ROWS_MAX = 200;
/** The target is 150 ms on an idle machine; the test shares its machine with builds. */
const JUMP_MAX_MS = 2_000;
const SEEN_MAX_MS = 2_000;

let fake: Fake;

test.beforeEach(async () => {
  fake = await startFake();
  fake.runs.set("done", sampleRun("done", 1n, State.SUCCESS, Date.now() - 60_000));
  fake.runs.set("bad", sampleRun("bad", 2n, State.FAILURE, Date.now() - 60_000));
  fake.runs.set("now", sampleRun("now", 3n, State.RUNNING, Date.now() - 60_000));
});
test.afterEach(() => fake.close());

const at = (run: string, more = "") => `${fake.url}/runs/${run}?job=test+(linux,+2)&step=2${more}`;
const log = (page: Page) => page.getByTestId("log");
const row = (page: Page, line: number) => page.locator(`[data-line="${line}"]:not([data-pending])`);

test("ten million lines: every line in reach, few in the DOM, little memory", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(TEN_MILLION, true));
  await page.goto(at("done"));
  await expect(row(page, TEN_MILLION)).toBeInViewport();
  await log(page).focus();
  await page.keyboard.press("Home");
  await expect(row(page, 1)).toContainText("line 1 ");

  // A wheel moves by rows, not by thousands of them.
  await log(page).hover();
  await page.mouse.wheel(0, 400);
  await expect(row(page, 60)).toContainText("line 60 ");
  await expect.poll(() => topLine(page)).toBe(21);

  const times: number[] = [];
  for (const share of [0.5, 0.1, 0.9, 0.3333, 0.7]) {
    times.push(await jump(page, share));
    expect(await page.locator("[data-line]").count()).toBeLessThanOrEqual(ROWS_MAX);
  }
  console.log(`jump to any of 10 000 000 lines: ${times.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  expect(median(times)).toBeLessThan(JUMP_MAX_MS);

  for (let i = 0; i < 150; i += 1) await page.mouse.wheel(0, 900);
  await page.keyboard.press("End");
  await expect(row(page, TEN_MILLION)).toContainText(`line ${TEN_MILLION} `);
  const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
  console.log(`heap ${(heap / 1e6).toFixed(0)} MB`);
  expect(heap).toBeLessThan(100e6);
});

test("a link to a range of lines, made and followed", async ({ page, context }) => {
  fake.logs.set("done.test", new FakeLog(1_000_000, true));
  await page.goto(at("done", "&l=777777-777780"));
  await expect(row(page, 777_777)).toBeVisible();
  await expect(page.locator("[data-chosen]")).toHaveCount(4);
  await row(page, 777_775).locator(".ln").click();
  await expect(page).toHaveURL(/l=777775$/);
  await row(page, 777_778).locator(".ln").click({ modifiers: ["Shift"] });
  await expect(page).toHaveURL(/l=777775-777778$/);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy 4 lines" }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toMatch(/^line 777775 \.+\nline 777776 \.+\nline 777777 \.+\nline 777778 \.+$/);
  await page.goto(at("done", "&l=5"));
  await expect(row(page, 5)).toHaveAttribute("data-chosen", "");
});

test("a failed step opens at its first error; N and P go on", async ({ page }) => {
  const error = (text: string) => ({ text: `##[error]${text}`, kind: 3 });
  fake.logs.set("bad.test", new FakeLog(500_000, true, new Map([[250_000, error("first")], [400_000, error("second")]])));
  await page.goto(at("bad"));
  await expect(row(page, 250_001)).toContainText("first");
  await expect(row(page, 250_001)).not.toContainText("##[error]");
  await page.keyboard.press("n");
  await expect(row(page, 400_001)).toContainText("second");
  await page.keyboard.press("p");
  await expect(row(page, 250_001)).toBeVisible();
});

test("groups fold", async ({ page }) => {
  const special = new Map([[3, { text: "##[group]Build", kind: 1 }], [900, { text: "##[endgroup]", kind: 2 }]]);
  fake.logs.set("done.test", new FakeLog(1_000, true, special));
  await page.goto(at("done", "&l=1"));
  await expect(row(page, 4)).toContainText("Build");
  await row(page, 4).getByRole("button").click();
  await expect(row(page, 5)).toHaveCount(0);
  await expect(row(page, 902)).toBeVisible();
  await page.keyboard.press("z");
  await page.keyboard.press("z");
  await expect(row(page, 5)).toBeVisible();
});

test("a live log is followed, pauses when the reader looks up, and goes on", async ({ page }) => {
  const live = new FakeLog(1_000, false);
  fake.logs.set("now.test", live);
  await page.goto(at("now"));
  await expect(row(page, 1_000)).toBeInViewport();
  live.append(50);
  await expect(row(page, 1_050)).toBeInViewport();
  await log(page).hover();
  await page.mouse.wheel(0, -600);
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-following", "false");
  const top = await topLine(page);
  live.append(7_000);
  await expect(page.getByRole("button", { name: /^7\s000 new lines$/ })).toBeVisible();
  expect(await topLine(page)).toBe(top);
  await page.getByRole("button", { name: /^7\s000 new lines$/ }).click();
  await expect(row(page, 8_050)).toBeInViewport();
  // Selecting pauses as well.
  await row(page, 8_048).locator(".lx").dblclick();
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-following", "false");
  await page.keyboard.press("f");
  live.append(1);
  live.finish();
  await expect(row(page, 8_051)).toBeInViewport();
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-connection", "ended");
});

test("copied text has no line numbers", async ({ page, context }) => {
  fake.logs.set("done.test", new FakeLog(20, true));
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(at("done", "&l=3"));
  await expect(row(page, 3)).toBeVisible();
  await page.evaluate(() => {
    const body = (line: number) => document.querySelector(`[data-line="${line}"] .lx`)?.firstChild as Text;
    getSelection()?.setBaseAndExtent(body(2), 5, body(4), 6);
  });
  await page.keyboard.press("Control+c");
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toMatch(/^2 \.+\nline 3 \.+\nline 4$/);
});

test("cut streams lose nothing and repeat nothing", async ({ page }) => {
  const live = new FakeLog(0, false);
  live.cutAfter = 2;
  fake.logs.set("now.test", live);
  await page.goto(at("now"));
  await expect(log(page)).toBeAttached();
  await page.evaluate(() => {
    const seen: number[] = [];
    Object.assign(window, { seen });
    new MutationObserver((changes) => {
      for (const change of changes) {
        for (const node of change.addedNodes) {
          if (node instanceof HTMLElement && node.dataset.line !== undefined && node.dataset.pending === undefined) seen.push(Number(/line (\d+) /.exec(node.textContent ?? "")?.[1]) - Number(node.dataset.line));
        }
      }
    }).observe(document.querySelector("[data-testid=log]") as Element, { childList: true, subtree: true });
  });
  for (let i = 1; i <= 30; i += 1) {
    live.append(3);
    await expect(row(page, i * 3)).toBeInViewport();
  }
  live.finish();
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-connection", "ended");
  await expect(page.getByTestId("log-stand")).toContainText("90 lines");
  expect(fake.calls.get("Follow")).toBeGreaterThan(5);
  // Each row showed the text of its own line, always.
  expect(await page.evaluate(() => [...new Set((window as unknown as { seen: number[] }).seen)])).toEqual([0]);
});

test("a burst of 200 000 lines a second keeps the page alive", async ({ page }) => {
  const live = new FakeLog(0, false);
  fake.logs.set("now.test", live);
  await page.goto(at("now"));
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-connection", "live");
  await page.evaluate(() => {
    const gaps: number[] = [];
    Object.assign(window, { gaps });
    let last = performance.now();
    const tick = () => {
      const now = performance.now();
      gaps.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const began = Date.now();
  let lines = 0;
  while (lines < 1_000_000) {
    const due = Math.min(1_000_000, Math.floor((Date.now() - began) * 200));
    live.append(due - lines);
    lines = due;
    await new Promise((done) => setTimeout(done, 10));
  }
  live.append(1);
  await expect(row(page, 1_000_001)).toBeInViewport();
  const lag = Date.now() - began - 5_000;
  const gaps = await page.evaluate(() => (window as unknown as { gaps: number[] }).gaps.sort((a, b) => a - b));
  const worst = gaps.at(-1) ?? 0;
  const p95 = gaps[Math.floor(gaps.length * 0.95)] ?? 0;
  console.log(`burst: last line ${lag} ms behind, frames p95 ${p95.toFixed(0)} ms, worst ${worst.toFixed(0)} ms`);
  expect(await page.locator("[data-line]").count()).toBeLessThanOrEqual(ROWS_MAX);
  expect(worst).toBeLessThan(5_000);
  await page.keyboard.press("f");
  await log(page).focus();
  await page.keyboard.press("Home");
  await expect(row(page, 1)).toContainText("line 1 ");
});

test("a line is on the screen at once after the server has it", async ({ page }) => {
  const live = new FakeLog(100, false);
  fake.logs.set("now.test", live);
  await page.goto(at("now"));
  await expect(row(page, 100)).toBeInViewport();
  const times: number[] = [];
  await page.exposeFunction("tellSeen", (line: number) => seen.get(line)?.());
  const seen = new Map<number, () => void>();
  await page.evaluate(() => {
    new MutationObserver((changes) => {
      for (const change of changes) {
        for (const node of change.addedNodes) if (node instanceof HTMLElement && node.dataset.line !== undefined && node.dataset.pending === undefined) (window as unknown as { tellSeen: (line: number) => void }).tellSeen(Number(node.dataset.line));
      }
    }).observe(document.querySelector("[data-testid=log]") as Element, { childList: true, subtree: true });
  });
  for (let line = 101; line <= 150; line += 1) {
    const came = new Promise<void>((done) => seen.set(line, done));
    const began = performance.now();
    live.append(1);
    await came;
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  console.log(`server to DOM (the test's own way back included): p50 ${times[25]?.toFixed(1)} ms, p95 ${times[47]?.toFixed(1)} ms`);
  expect(times[47] ?? 0).toBeLessThan(SEEN_MAX_MS);
});

/** The number of the first row that is wholly in the window. */
function topLine(page: Page): Promise<number> {
  return log(page).evaluate((el) => {
    const top = el.getBoundingClientRect().top;
    const rows = [...el.querySelectorAll<HTMLElement>("[data-line]")];
    return Number(rows.find((each) => each.getBoundingClientRect().top >= top - 1)?.dataset.line ?? 0);
  });
}

/** Drags the bar to a share of its way; how long until the rows there are on the screen. */
function jump(page: Page, share: number): Promise<number> {
  return log(page).evaluate(async (el, share) => {
    const began = performance.now();
    el.scrollTop = share * (el.scrollHeight - el.clientHeight);
    const wanted = share * 10_000_000;
    for (;;) {
      await new Promise((done) => requestAnimationFrame(done));
      const rect = el.getBoundingClientRect();
      const shown = [...el.querySelectorAll<HTMLElement>("[data-line]")].filter((row) => {
        const { top, bottom } = row.getBoundingClientRect();
        return bottom > rect.top && top < rect.bottom;
      });
      const near = Math.abs(Number(shown[0]?.dataset.line) - wanted) < 5_000;
      if (near && shown.length > 20 && shown.every((row) => row.dataset.pending === undefined)) return performance.now() - began;
      if (performance.now() - began > 5_000) throw new Error(`no rows at ${share}: ${shown[0]?.dataset.line}`);
    }
  }, share);
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
