// The search in a log, lines in pieces, and what retention took, on the stand-in: ten million lines, hits that stream.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { State } from "../src/gen/millrace/v1/pipeline_pb.js";
import { FakeLog } from "./fake-log.js";
import { sampleRun, startFake, type Fake } from "./fake-server.js";

const TEN_MILLION = 10_000_000;
const LINE_CHARS = 95;

let fake: Fake;

test.beforeEach(async () => {
  fake = await startFake();
  fake.runs.set("done", sampleRun("done", 1n, State.SUCCESS, Date.now() - 60_000));
  fake.runs.set("now", sampleRun("now", 3n, State.RUNNING, Date.now() - 60_000));
});
test.afterEach(() => fake.close());

const at = (run: string, more = "") => `${fake.url}/runs/${run}?job=test+(linux,+2)&step=2${more}`;
const row = (page: Page, line: number) => page.locator(`[data-line="${line}"]:not([data-pending])`);
const field = (page: Page) => page.getByRole("textbox", { name: "Search in this log" });
const stand = (page: Page) => page.getByTestId("find-stand");
const hits = (page: Page, line: number) => row(page, line).locator("mark.lh");

test("ten million lines: hits stream, are marked, ticked and gone to", async ({ page }) => {
  const log = new FakeLog(TEN_MILLION, true);
  let open = () => {};
  log.gate = new Promise((done) => (open = done));
  fake.logs.set("done.test", log);
  await page.goto(at("done"));
  await expect(row(page, TEN_MILLION)).toBeInViewport();
  await page.keyboard.press("Control+f");
  await expect(field(page)).toBeFocused();
  await page.keyboard.type("0777 ");
  // The first hits are there while the server still searches.
  await expect(stand(page)).toHaveText(/^1 of 9 lines · searching 1 %$/);
  await expect(row(page, 10_777)).toHaveAttribute("data-current", "");
  await expect(hits(page, 10_777)).toHaveText("0777 ");
  await page.keyboard.press("Enter");
  await expect(row(page, 20_777)).toHaveAttribute("data-current", "");
  await page.keyboard.press("Shift+Enter");
  open();
  await expect(stand(page)).toHaveText(/^1 of 999 lines$/, { timeout: 60_000 });
  expect(fake.calls.get("Search")).toBe(1);
  // Around the end, and back.
  await page.keyboard.press("F3");
  await page.keyboard.press("Shift+F3");
  await page.keyboard.press("Shift+F3");
  await expect(row(page, 9_990_777 + 10_000)).toHaveCount(0);
  await expect(row(page, 9_990_777)).toBeInViewport();
  await expect(stand(page)).toHaveText(/^999 of 999 lines$/);
  expect(Number(await page.getByTestId("log-overview").getAttribute("data-ticks"))).toBeGreaterThan(100);
  // A click on the strip goes to the hit that is nearest.
  const strip = await page.getByTestId("log-overview").boundingBox();
  await page.mouse.click((strip?.x ?? 0) + 5, (strip?.y ?? 0) + (strip?.height ?? 0) / 2);
  await expect(stand(page)).toHaveText(/^(49\d|50\d) of/);
  // Escape closes, marks go, the focus is back.
  await field(page).press("Escape");
  await expect(field(page)).toHaveCount(0);
  await expect(page.locator("mark.lh")).toHaveCount(0);
  await expect(page.getByTestId("log-overview")).toBeHidden();
});

test("the search is in the link, with its kind; a line in the link is the place", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(100_000, true));
  await page.goto(at("done", "&q=LINE+4.*2+&regex=1"));
  await expect(stand(page)).toHaveText(/^1 of /);
  await expect(row(page, 42)).toHaveAttribute("data-current", "");
  await page.getByRole("button", { name: "Match case" }).click();
  await expect(stand(page)).toHaveText("No hit");
  await expect(page).toHaveURL(/case=1/);
  await page.goto(at("done", "&l=50000&q=line+7"));
  await expect(row(page, 50_000)).toBeInViewport();
  await expect(stand(page)).toHaveText(/of 11\s111 lines$/);
  await expect(row(page, 50_000)).toBeInViewport();
  await field(page).press("Enter");
  await expect(row(page, 70_000).or(row(page, 70_001)).first()).toBeInViewport();
  await field(page).press("Escape");
  await expect(page).not.toHaveURL(/q=/);
  await expect(page).toHaveURL(/l=50000/);
});

test("what the server can't read as a pattern is said at the field", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(1_000, true));
  await page.goto(at("done"));
  await expect(row(page, 1_000)).toBeInViewport();
  await page.keyboard.press("/");
  await page.getByRole("button", { name: "Regular expression" }).click();
  await field(page).fill("*a");
  await expect(page.getByRole("alert")).toContainText("repetition operator missing expression");
  await expect(field(page)).toHaveAttribute("aria-invalid", "true");
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await field(page).fill("line 1.* ");
  await expect(stand(page)).toHaveText(/of 112 lines$/);
});

test("each key stroke ends the search before it", async ({ page }) => {
  const log = new FakeLog(500_000, true);
  log.gate = new Promise(() => {});
  fake.logs.set("done.test", log);
  await page.goto(at("done"));
  await expect(row(page, 500_000)).toBeInViewport();
  await page.keyboard.press("Control+f");
  await field(page).fill("line 1");
  await expect(stand(page)).toContainText("searching 20 %");
  await field(page).fill("line 222222 ");
  await expect(stand(page)).toHaveText("searching 20 %");
  await expect(page.locator("mark.lh")).toHaveCount(0);
  log.gate = Promise.resolve();
  await field(page).fill("line 222223 ");
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(hits(page, 222_223)).toHaveText("line 222223 ");
});

test("more than can be listed is said in words", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(1_000_000, true));
  await page.goto(at("done", "&q=line"));
  await expect(stand(page)).toHaveText(/^1 of 1\s000\s000 lines$/, { timeout: 60_000 });
  await expect(page.getByText(/The first 200\s000 lines are listed/)).toBeVisible();
  await page.getByRole("button", { name: "Former hit" }).click();
  await expect(row(page, 200_000)).toBeInViewport();
});

test("only lines with hits, far apart as they are", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(1_000_000, true));
  await page.goto(at("done", "&q=0777+"));
  await expect(stand(page)).toHaveText(/^1 of 99 lines$/);
  await page.getByRole("button", { name: "Only lines with hits" }).click();
  await expect(row(page, 10_777)).toBeInViewport();
  await expect(row(page, 20_777)).toBeInViewport();
  await expect(row(page, 10_778)).toHaveCount(0);
  await page.getByTestId("log").focus();
  await page.keyboard.press("End");
  await expect(row(page, 990_777)).toBeInViewport();
  await page.getByRole("button", { name: "Only lines with hits" }).click();
  await expect(row(page, 10_778)).toBeInViewport();
});

test("a live log: new hits come by themselves", async ({ page }) => {
  const live = new FakeLog(1_000, false);
  fake.logs.set("now.test", live);
  await page.goto(at("now", "&q=0+."));
  await expect(stand(page)).toHaveText(/^1 of 100 lines$/);
  live.append(100);
  await expect(stand(page)).toHaveText(/^1 of 110 lines$/);
  live.append(50);
  live.finish();
  await expect(stand(page)).toHaveText(/^1 of 115 lines$/);
});

test("a folded group opens for a hit", async ({ page }) => {
  const special = new Map([[3, { text: "##[group]Build", kind: 1 }], [900, { text: "##[endgroup]", kind: 2 }]]);
  fake.logs.set("done.test", new FakeLog(1_000, true, special));
  await page.goto(at("done", "&l=1"));
  await row(page, 4).getByRole("button").click();
  await expect(row(page, 5)).toHaveCount(0);
  await page.keyboard.press("Control+f");
  await field(page).fill("line 500 ");
  await expect(row(page, 500)).toBeInViewport();
  // The prefix of a command is not shown; its hit stands where the word is all the same.
  await field(page).fill("Build");
  await expect(hits(page, 4)).toHaveText("Build");
});

test("pieces of one line: one number, hits across them, copied as one", async ({ page, context }) => {
  const pieces = ["abc".repeat(40).slice(0, LINE_CHARS), "x".repeat(LINE_CHARS - 5) + "river", "bank, and the end"];
  const special = new Map([
    [4, { text: pieces[0] ?? "", kind: 0, joined: true }],
    [5, { text: pieces[1] ?? "", kind: 0, joined: true, continues: true }],
    [6, { text: (pieces[2] ?? "").padEnd(LINE_CHARS, "!"), kind: 0, continues: true }],
    [7, { text: "another part of the row".padEnd(LINE_CHARS, "?"), kind: 0, continues: true }],
    [8, { text: "the log is full", kind: 0, room: true }],
  ]);
  fake.logs.set("done.test", new FakeLog(20, true, special));
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(at("done", "&l=5-8&q=riverbank"));
  await expect(row(page, 5).locator(".ln")).toHaveText("5");
  await expect(row(page, 6).locator(".ln")).toHaveText("·");
  await expect(row(page, 7).locator(".ln")).toHaveText("·");
  await expect(row(page, 8).locator(".ln")).toHaveText("8");
  await expect(row(page, 8)).toContainText("↪");
  await expect(row(page, 6)).not.toContainText("↪");
  await expect(row(page, 9)).toHaveAttribute("data-room", "");
  await expect(hits(page, 6)).toHaveText("river");
  await expect(hits(page, 7)).toHaveText("bank");
  const whole = `${pieces.join("")}`.padEnd(LINE_CHARS * 3, "!");
  const wanted = `${whole}\n${"another part of the row".padEnd(LINE_CHARS, "?")}`;
  await page.getByRole("button", { name: "Copy 4 lines" }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(wanted);
  await page.evaluate(() => {
    const body = (line: number) => document.querySelector(`[data-line="${line}"] .lx`) as Element;
    getSelection()?.setBaseAndExtent(body(5), 0, body(8), body(8).childNodes.length);
  });
  await page.keyboard.press("Control+c");
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(wanted);
  // The exact time is there without times being shown.
  await expect(row(page, 5).locator(".ln")).toHaveAttribute("title", /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \(.+Z\)$/);
});

test("what retention took is one row, also when it happens before the reader's eyes", async ({ page }) => {
  const live = new FakeLog(20_000, false);
  live.trim(5_000);
  fake.logs.set("now.test", live);
  await page.goto(at("now", "&l=5003"));
  await expect(row(page, 5_003)).toBeInViewport();
  const gone = page.locator("[data-removed]");
  await expect(gone).toHaveText(/Lines 1-5\s000 were removed by retention$/);
  await expect(page.getByTestId("log-stand")).toContainText(/from line 5\s001/);
  await page.getByTestId("log").focus();
  await page.keyboard.press("Home");
  await expect(gone).toBeInViewport();
  await expect(row(page, 5_001)).toBeInViewport();
  // A tab that was cut off for long finds a hole.
  live.cutAfter = 1;
  live.append(1);
  live.lines += 30_000;
  live.trim(40_000);
  live.cutAfter = 0;
  await expect(gone).toHaveText(/Lines 1-40\s000 were/);
  await page.keyboard.press("End");
  await expect(row(page, 50_001)).toBeInViewport();
});

test("a log that retention took whole says so", async ({ page }) => {
  await page.goto(`${fake.url}/logs/old.0.0.0`);
  await expect(page.getByText("log old.0.0.0 not found: retention removed it 3 days ago")).toBeVisible();
  await expect(page.getByRole("heading", { name: "old.0.0.0" })).toBeVisible();
});

test("the second Ctrl+F is the browser's", async ({ page }) => {
  fake.logs.set("done.test", new FakeLog(100, true));
  await page.goto(at("done"));
  await expect(row(page, 100)).toBeInViewport();
  await page.evaluate(() => {
    const kept: boolean[] = [];
    Object.assign(window, { kept });
    addEventListener("keydown", (event) => event.key === "f" && kept.push(event.defaultPrevented));
  });
  await page.getByTestId("log").focus();
  await page.keyboard.press("Control+f");
  await expect(field(page)).toBeFocused();
  await page.keyboard.press("Control+f");
  expect(await page.evaluate(() => (window as unknown as { kept: boolean[] }).kept)).toEqual([true, false]);
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("log")).toBeFocused();
});

test("the room of logs: named logs, any log by id, the view of one", async ({ page }) => {
  fake.room = { namedLogs: [{ name: "greetings", logId: "r.0123456789abcdef.greetings", firstRecord: 0n, nextRecord: 3n, sizeBytes: 300n, lastMillis: BigInt(Date.now() - 5_000) }] };
  fake.logs.set("r.0123456789abcdef.greetings", new FakeLog(3, false));
  await page.goto(`${fake.url}/logs`);
  await expect(page.getByText("greetings").first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/logs\/r\.0123456789abcdef\.greetings$/);
  await expect(page.getByRole("heading", { name: "greetings" })).toBeVisible();
  await expect(page.getByTestId("log-stand")).toHaveAttribute("data-following", "true");
  fake.logs.get("r.0123456789abcdef.greetings")?.append(2);
  await expect(row(page, 5)).toBeInViewport();
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page.getByLabel("Open a log by its id")).toBeVisible();
  await page.keyboard.press("/");
  await page.keyboard.type(`${fake.url}/logs/r.0123456789abcdef.greetings/raw`);
  await page.keyboard.press("Enter");
  await expect(row(page, 5)).toBeInViewport();
});
