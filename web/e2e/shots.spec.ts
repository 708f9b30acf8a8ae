// Every page in light, dark and narrow: pictures to look at, and what axe finds.
import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { State } from "../src/gen/millrace/v1/pipeline_pb.js";
import { fillCache, PLACE, type Sample } from "./cache-sample.js";
import { FakeLog } from "./fake-log.js";
import { FAILED, fillQueue, RUNNING, BUILD } from "./queue-sample.js";
import { sampleRun, startFake, type Fake } from "./fake-server.js";

// Each stands alone, and there are many.
test.describe.configure({ mode: "parallel" });

let fake: Fake;
let sample: Sample;
const problems: string[] = [];
const LOG = "r.e3b0c44298fc1c14.deployments";

test.beforeAll(async () => {
  fake = await startFake();
  sample = fillCache(fake.cache);
  fillQueue(fake.queue, fake.cache, fake.logs, sample.full, PLACE);
  const now = Date.now();
  for (let i = 1; i <= 40; i += 1) {
    const state = [State.SUCCESS, State.FAILURE, State.SUCCESS, State.CANCELLED, State.RUNNING, State.QUEUED][i % 6] ?? State.SUCCESS;
    fake.runs.set(`r${i}`, sampleRun(`r${i}`, BigInt(i), state, now - (41 - i) * 1_000_000));
  }
  fake.runs.set("ok", sampleRun("ok", 41n, State.SUCCESS, now - 100_000));
  fake.runs.set("bad", sampleRun("bad", 42n, State.FAILURE, now - 60_000));
  fake.runs.set("now", sampleRun("now", 43n, State.RUNNING, now - 20_000));
  const special = new Map([
    [2, { text: "##[group]Compiling the water wheel", kind: 1 }],
    [30, { text: "##[endgroup]", kind: 2 }],
    [32, { text: "\x1b[32mgreen\x1b[0m \x1b[1;34mbold\x1b[0m \x1b[38;2;255;140;0morange\x1b[0m \x1b[41mred\x1b[0m", kind: 0 }],
    [33, { text: "\x1b[7minverse\x1b[0m \x1b[2mdim\x1b[0m \x1b[93myellow \x1b[97;44mwhite\x1b[0m", kind: 0 }],
    [34, { text: "warning: unused variable", kind: 0, stderr: true }],
    [35, { text: "##[warning]the river is low", kind: 4 }],
    [36, { text: "##[notice]all is well", kind: 5 }],
    [40, { text: "##[error]the wheel does not turn", kind: 3 }],
  ]);
  const long = new Map([
    [0, { text: "a line that is longer than a line can be ".padEnd(95, "~"), kind: 0, joined: true }],
    [1, { text: "and goes on here, with the wheel in it".padEnd(95, "~"), kind: 0, continues: true }],
    [2, { text: "then a line end within the row", kind: 0, continues: true }],
    [59, { text: "##[warning]the log is full: what comes is dropped", kind: 4, room: true }],
  ]);
  const cut = new FakeLog(12_000, true, new Map([...[...special].map(([line, each]) => [line + 9_000, each] as const), ...[...long].map(([line, each]) => [line + 9_050, each] as const)]));
  cut.trim(9_000);
  fake.logs.set(LOG, cut);
  const hour = 3_600_000n;
  fake.room = {
    namedLogs: [
      { name: "events", logId: "r.e3b0c44298fc1c14.events", firstRecord: 1_204n, nextRecord: 98_231n, sizeBytes: 41_238_112n, lastMillis: BigInt(now - 4_000), readOnly: true },
      { name: "deployments", logId: LOG, firstRecord: 0n, nextRecord: 61n, sizeBytes: 4_812n, lastMillis: BigInt(now) - 26n * hour },
      { name: "a-name-that-is-as-long-as-names-of-logs-may-be-which-is-one-hundred-characters-and-not-one-more-1234", logId: "r.e3b0c44298fc1c14.a", firstRecord: 0n, nextRecord: 1n, sizeBytes: 12n, lastMillis: BigInt(now) - 400n * hour },
    ],
    usage: [
      { kind: 1, logs: 18_220n, sizeBytes: 91_234_567_890n, storedBytes: 7_234_567_890n },
      { kind: 2, logs: 402_113n, sizeBytes: 1_234_567_890n, storedBytes: 234_567_890n },
      { kind: 3, logs: 512n, sizeBytes: 34_567_890n, storedBytes: 4_567_890n },
      { kind: 4, logs: 3n, sizeBytes: 41_243_000n, storedBytes: 9_243_000n },
    ],
    retention: { ageSeconds: 90n * 86_400n, count: 0n, sizeBytes: 0n, namedLogBytes: 1n << 30n, namedLogAgeSeconds: 0n, abandonedSeconds: 7n * 86_400n },
    lastSweep: { endedMillis: BigInt(now - 1_200_000), tookMillis: 312n, removedForAge: 41n, removedRecords: 1_204n, freedBytes: 312_000_000n },
    logMaxBytes: 4n << 30n,
  };
  for (const id of ["ok", "bad", "now"]) for (const step of ["checkout", "build", "test", "clean", "docs"]) fake.logs.set(`${id}.${step}`, new FakeLog(60, id !== "now", special));
});
test.afterAll(() => fake.close());

test.beforeEach(({ page }) => {
  problems.length = 0;
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
});

const PAGES = [
  { name: "home", path: "/", ready: "First steps" },
  { name: "runs", path: "/runs", ready: "self-test" },
  { name: "run-failed", path: "/runs/bad", ready: "the wheel does not turn" },
  { name: "run-live", path: "/runs/now", ready: "Live" },
  { name: "run-summary", path: "/runs/ok?view=summary", ready: "Coverage" },
  { name: "runners", path: "/runners", ready: "win-17" },
  { name: "cache", path: "/cache", ready: "Lookups that hit" },
  { name: "action", path: () => `/actions/${sample.full.hash}?size=${sample.full.sizeBytes}&instance=${PLACE}`, ready: "the river is low" },
  { name: "action-bare", path: () => `/actions/${sample.bare.hash}`, ready: "exit code 3" },
  { name: "action-lost", path: () => `/actions/${sample.lost.hash}?size=140`, ready: "no result of this action" },
  { name: "directory", path: () => `/blobs/${sample.inputs.hash}?size=${sample.inputs.sizeBytes}&instance=${PLACE}&kind=directory&name=inputs`, ready: "wheel.c" },
  { name: "blob", path: () => `/blobs/${sample.report.hash}?size=${sample.report.sizeBytes}&instance=${PLACE}&name=report.txt`, ready: "line 9 of the long report" },
  { name: "queue", path: "/queue", ready: "no runner offers" },
  { name: "execution-live", path: `/executions/${RUNNING}`, ready: "the river is low" },
  { name: "execution-failed", path: `/executions/${FAILED}`, ready: "1 of 3 wheels turned" },
  { name: "execution-none", path: "/executions/nope", ready: "There is no such execution" },
  { name: "invocations", path: "/invocations", ready: "bazel test //src/... //docs:all" },
  { name: "invocation", path: `/invocations/${BUILD}`, ready: "//src:river_test" },
  { name: "invocation-log", path: `/invocations/${BUILD}?tab=log`, ready: "line 200 " },
  { name: "invocation-cache", path: `/invocations/${BUILD}?tab=cache`, ready: "75 %" },
  { name: "invocation-timing", path: `/invocations/${BUILD}?tab=timing`, ready: "Linking src/wheel_test" },
  { name: "invocation-executions", path: `/invocations/${BUILD}?tab=executions`, ready: "//src:wheel_test" },
  { name: "invocation-details", path: `/invocations/${BUILD}?tab=details`, ready: "Build metadata" },
  { name: "invocation-none", path: "/invocations/nope", ready: "There is no such invocation" },
  { name: "run-search", path: "/runs/bad?q=line&l=41", ready: "of 52 lines" },
  { name: "logs", path: "/logs", ready: "deployments" },
  { name: "log", path: `/logs/${LOG}?q=the+wheel`, ready: "the wheel does not turn" },
  { name: "log-removed-part", path: `/logs/${LOG}?l=9001`, ready: "were removed by retention" },
  { name: "log-pieces", path: `/logs/${LOG}?l=9052&q=the+wheel`, ready: "goes on here" },
  { name: "log-bad-pattern", path: `/logs/${LOG}?q=*a&regex=1`, ready: "repetition operator missing" },
  { name: "log-none", path: "/logs/old.0.0.0.1.0", ready: "retention removed it 3 days ago" },
  { name: "login", path: "/sign-in", ready: "Token" },
  { name: "not-found", path: "/nowhere", ready: "There is nothing at this address" },
  { name: "no-run", path: "/runs/nope", ready: "There is no such run" },
];
const LOOKS = [
  { look: "light", theme: "light", width: 1360 },
  { look: "dark", theme: "dark", width: 1360 },
  { look: "narrow", theme: "light", width: 390 },
] as const;

for (const { look, theme, width } of LOOKS) {
  for (const { name, path, ready } of PAGES) {
    test(`${name} in ${look}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 850 });
      await page.goto(fake.url + (typeof path === "string" ? path : path()));
      await expect(page.getByText(ready).first()).toBeVisible();
      await settle(page);
      await page.screenshot({ path: `test-results/${name}-${look}.png`, fullPage: width === 390 });
      const found = await new AxeBuilder({ page }).analyze();
      expect(found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0);
      expect(problems.filter((text) => !text.includes("404"))).toEqual([]);
    });
  }
}

test("logs when there are none", async ({ page }) => {
  const { room } = fake;
  fake.room = {};
  try {
    for (const { look, theme, width } of LOOKS) {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 850 });
      await page.goto(`${fake.url}/logs`);
      await expect(page.getByText("There are no named logs yet")).toBeVisible();
      await settle(page);
      await page.screenshot({ path: `test-results/logs-empty-${look}.png`, fullPage: width === 390 });
      expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
    }
  } finally {
    fake.room = room;
  }
});

test("dialogs", async ({ page }) => {
  await page.goto(`${fake.url}/runners`);
  await page.getByRole("button", { name: "Add a runner" }).click();
  await page.getByRole("button", { name: "Make a registration token" }).click();
  await expect(page.getByText("mrr_0123456789abcdef")).toBeVisible();
  await page.screenshot({ path: "test-results/add-runner-light.png" });
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
  await page.screenshot({ path: "test-results/shortcuts-light.png" });
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.keyboard.press("Escape");
  await page.goto(`${fake.url}/runs/bad`);
  await page.getByRole("button", { name: "More actions" }).click();
  await expect(page.getByRole("menuitem", { name: "Run all jobs again" })).toBeVisible();
  await page.screenshot({ path: "test-results/menu-light.png" });
  expect(problems).toEqual([]);
});

test("sign in when the server asks for it", async ({ page }) => {
  fake.locked = true;
  try {
    await page.goto(`${fake.url}/runs`);
    await page.getByLabel("Token").fill("bad");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByText("does not know this token")).toBeVisible();
    await page.getByLabel("Token").fill("good");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { name: "Runs" })).toBeVisible();
  } finally {
    fake.locked = false;
  }
});

/** Loading and fonts are done, nothing moves. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}
