// The queue, executions and builds by hand and by keyboard, with a server that is made up.
import AxeBuilder from "@axe-core/playwright";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test, type Page } from "@playwright/test";
import { InvocationSchema, InvocationStatus, InvocationTargetSchema, TargetStatus } from "../src/gen/millrace/v1/invocation_pb.js";
import { ExecutionStage as Stage, QueueSchema } from "../src/gen/millrace/v1/queue_pb.js";
import { fillCache, PLACE, type Sample } from "./cache-sample.js";
import { startFake, type Fake } from "./fake-server.js";
import { BUILD, FAILED, fillQueue, RUNNING, WAITING } from "./queue-sample.js";

let fake: Fake;
let sample: Sample;
const problems: string[] = [];

test.beforeEach(async ({ page }) => {
  fake = await startFake();
  sample = fillCache(fake.cache);
  fillQueue(fake.queue, fake.cache, fake.logs, sample.full, PLACE);
  problems.length = 0;
  page.on("console", (message) => message.type() === "error" && !message.text().includes("404") && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
});
test.afterEach(async () => {
  await fake.close();
  expect(problems).toEqual([]);
});

test("a stuck queue explains itself, and goes on by itself", async ({ page }) => {
  await page.goto(fake.url);
  await expect(page.getByRole("listitem").filter({ hasText: "Remote execution used" })).toContainText("4 running, 1\u202f215 waiting");
  await page.keyboard.press("g");
  await page.keyboard.press("q");
  await expect(page).toHaveURL(/\/queue$/);
  await expect(page.getByText(/^3 actions ask for OSFamily=windows and gpu=1; no runner offers them all\. The first fails in \d s\.$/)).toBeVisible();
  const diff = page.getByRole("region", { name: "Requested against linux-large" });
  await expect(diff.getByRole("row")).toHaveText(["PropertyRequestedOffered by linux-large", "OSFamily− windows does not fit+ linux", "gpu− 1 does not fit+ not offered", "Archamd64= amd64 fits"]);
  await expect(diff.locator("[data-fits=false]")).toHaveCount(2);
  const further = page.getByRole("region", { name: "Requested against mac-3" });
  await expect(further).toBeHidden();
  await page.getByText("Against one more platform").click();
  await expect(further.locator("[data-fits=false]")).toHaveCount(3);
  await expect(page.getByText("All 4 slots are busy; the oldest waits 2 min.")).toBeVisible();
  await expect(page.getByText("The only runner is offline: 8 actions wait until one is back; the oldest waits 66 min.")).toBeVisible();
  await expect(page.getByText("No runner serves this label: it waits until one is added.")).toBeVisible();

  fake.queue.queue = create(QueueSchema, { ...fake.queue.queue, unmatched: [], queued: 0n, executing: 4n });
  fake.queue.changed();
  await expect(page.getByText("Nothing waits: whatever comes is taken at once.")).toBeVisible();
  await expect(diff).toHaveCount(0);
});

test("executions: by stage, and what an administrator can do", async ({ page }) => {
  await page.goto(`${fake.url}/queue`);
  const list = page.getByTestId("executions");
  await expect(list.getByRole("listitem")).toHaveCount(4);
  await page.getByRole("navigation", { name: "Which executions" }).getByRole("link", { name: "Waiting" }).click();
  await expect(page).toHaveURL(/stage=queued/);
  await expect(list.getByRole("listitem")).toHaveCount(2);
  const row = list.getByRole("listitem").filter({ hasText: "//src:mill-with" });

  await row.getByRole("button", { name: /^Actions for/ }).click();
  await page.getByRole("menuitem", { name: "Change the priority" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Priority").fill("soon");
  await expect(dialog.getByRole("button", { name: "Change" })).toBeDisabled();
  await dialog.getByLabel("Priority").fill("-7");
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.keyboard.press("Enter");
  await expect(row).toContainText("priority -7");

  await row.getByRole("button", { name: /^Actions for/ }).click();
  await page.getByRole("menuitem", { name: "Move to another platform" }).click();
  await expect(dialog.getByLabel("Platform")).toHaveValue("Arch=arm64,OSFamily=darwin");
  await dialog.getByRole("button", { name: "Move" }).click();
  await expect(row).toContainText("for mac-3");

  await row.getByRole("button", { name: /^Actions for/ }).click();
  await page.getByRole("menuitem", { name: "Cancel" }).click();
  await dialog.getByRole("button", { name: "Keep it" }).click();
  expect(fake.queue.asked).toEqual([`priority ${WAITING} -7`, `move ${WAITING} Arch=arm64,OSFamily=darwin`]);
  await row.getByRole("button", { name: /^Actions for/ }).click();
  await page.getByRole("menuitem", { name: "Cancel" }).click();
  await dialog.getByRole("button", { name: "Cancel it" }).click();
  await expect(row).toHaveCount(0);
  await page.getByRole("link", { name: "Finished" }).click();
  await expect(row).toContainText("Cancelled");

  await page.getByRole("button", { name: "Drain linux-7" }).click();
  await page.getByRole("button", { name: "Resume linux-9" }).click();
  await expect.poll(() => fake.queue.asked.slice(3)).toEqual(["drain r-1", "resume r-3"]);
});

test("what a command prints appears while it runs, and stays when it is done", async ({ page }) => {
  const log = fake.logs.get("exec.stdout");
  await page.goto(`${fake.url}/queue`);
  await page.getByRole("link", { name: "CppCompile //src:wheel", exact: true }).click();
  const stage = page.getByTestId("stage");
  await expect(stage).toHaveText("Executing");
  const output = page.getByRole("region", { name: "Standard output as a log", exact: true });
  await expect(output.getByText("line 40 ")).toBeVisible();
  log?.append(5);
  await expect(output.getByText("line 45 ")).toBeVisible();
  await expect(page.getByRole("region", { name: "Standard error as a log", exact: true }).getByText("the river is low")).toBeVisible();
  await expect(page.getByRole("list", { name: "Timing" }).getByRole("listitem").filter({ hasText: "Executing" })).toContainText("s …");
  await expect(page.getByText("8 MiB the runner had")).toBeVisible();
  await expect(page.getByText("one runner lost it before")).toBeVisible();

  const now = Date.now();
  const at = (ms: number) => timestampFromMs(now - 10_000 + ms);
  fake.queue.responses.set(`${PLACE}/operations/op-1`, { result: { exitCode: 0, stdoutRaw: new TextEncoder().encode("as the result has it\n"), executionMetadata: { worker: "linux-7", queuedTimestamp: at(0), workerStartTimestamp: at(1_500), executionStartTimestamp: at(2_000), executionCompletedTimestamp: at(9_250), outputUploadStartTimestamp: at(9_300), outputUploadCompletedTimestamp: at(9_600) } } });
  log?.finish();
  fake.logs.get("exec.stderr")?.finish();
  fake.queue.change(fake.queue.find(RUNNING), { stage: Stage.DONE, exitCode: 0, finishedAt: at(9_700) });
  await expect(stage).toHaveText("Succeeded");
  await expect(page.getByRole("list", { name: "Timing" }).getByRole("listitem").filter({ hasText: "Uploading outputs" })).toContainText("300 ms");
  await expect(output.getByText("line 45 ")).toBeVisible();
  // Who comes later sees what the result holds.
  await page.reload();
  await expect(page.getByRole("region", { name: "Standard output, text" })).toHaveText("as the result has it\n");
});

test("before it runs the page says what it waits for, and it can be cancelled", async ({ page }) => {
  await page.goto(`${fake.url}/executions/${WAITING}`);
  await expect(page.getByTestId("stage")).toHaveText("Queued");
  await expect(page.getByText("What the command prints appears here as soon as it runs.").first()).toBeVisible();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await expect(page.getByTestId("stage")).toHaveText("Cancelled");
  await expect(page.getByRole("alert")).toHaveText("cancelled by an administrator");
  await expect(page.getByText("The command was never run").first()).toBeVisible();
});

test("a failed execution has its result, though no cache has", async ({ page }) => {
  await page.goto(`${fake.url}/executions/${FAILED}`);
  await expect(page.getByTestId("stage")).toHaveText("Exit code 3");
  await expect(page.getByText("1 of 3 wheels turned")).toBeVisible();
  await expect(page.getByText("the third wheel is stuck")).toBeVisible();
  await expect(page.getByRole("list", { name: "Outputs" }).getByText("test.xml")).toBeVisible();
  await page.getByRole("link", { name: BUILD }).click();
  await expect(page.getByRole("heading", { name: "bazel test //src/... //docs:all" })).toBeVisible();
});

test("an action shows the execution that is under way, and its inputs unfold", async ({ page }) => {
  await page.goto(`${fake.url}/actions/${sample.full.hash}?size=${sample.full.sizeBytes}&instance=${PLACE}`);
  await expect(page.getByRole("region", { name: "Standard output as a log", exact: true }).getByText("line 40 ")).toBeVisible();
  await expect(page.getByRole("list", { name: "Recent executions, newest first" }).getByRole("listitem")).toHaveCount(1);
  await expect(page.getByText("PATH=/usr/bin:/bin")).toBeVisible();
  const inputs = page.getByRole("list", { name: "Inputs" });
  await inputs.getByRole("button", { name: "include" }).press("ArrowRight");
  await inputs.getByRole("button", { name: "mill" }).click();
  await expect(inputs.getByRole("link", { name: "wheel.h", exact: true })).toBeVisible();
  await inputs.getByRole("button", { name: "gone" }).click();
  await expect(inputs.getByText("not in the cache: it was evicted")).toBeVisible();

  fake.queue.change(fake.queue.find(RUNNING), { stage: Stage.DONE, exitCode: 0, finishedAt: timestampFromMs(Date.now()) });
  await expect(page.getByRole("heading", { name: "Now" })).toHaveCount(0);
  await expect(page.getByRole("list", { name: "Recent executions, newest first" })).toContainText("Succeeded");
});

test("builds: found, and each part of one in a link", async ({ page }) => {
  await page.goto(fake.url);
  await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("i");
  const list = page.getByRole("list", { name: "Invocations, newest first" });
  await expect(list.getByRole("listitem")).toHaveCount(5);
  await page.getByRole("navigation", { name: "Filter by status" }).getByRole("link", { name: "Failed" }).click();
  await expect(list.getByRole("listitem")).toHaveCount(1);
  await page.keyboard.press("/");
  await page.keyboard.type("grace");
  await expect(page.getByText("No invocation is like that")).toBeVisible();
  await expect(page).toHaveURL(/status=failed&q=grace/);
  await page.getByRole("searchbox").fill("docs");
  await list.getByRole("link").click();

  const parts = page.getByRole("navigation", { name: "Parts of the invocation" });
  await expect(page.getByTestId("status")).toHaveText("Failed");
  await expect(page.getByText("make: *** No rule to make target 'docs'")).toBeVisible();
  const targets = page.getByRole("list", { name: "Targets" });
  await expect(targets.getByRole("button")).toHaveCount(5);
  await page.getByRole("button", { name: "Only failures" }).click();
  await expect(targets.getByRole("button")).toHaveCount(2);
  await page.reload();
  await expect(targets.getByRole("button")).toHaveCount(2);

  await parts.getByRole("link", { name: "Tests" }).click();
  const tests = page.getByRole("list", { name: "Tests", exact: true });
  await expect(tests.getByRole("button", { name: /_test/ })).toHaveCount(2);
  await tests.getByRole("button", { name: /wheel_test/ }).click();
  const attempts = page.getByRole("list", { name: "Attempts at //src:wheel_test" });
  await expect(attempts.getByText("shard 2 of 2, attempt 2")).toBeVisible();
  await attempts.getByRole("button", { name: "Show" }).first().click();
  await expect(attempts.getByText("Executing tests")).toBeVisible();
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.screenshot({ path: "test-results/invocation-test-light.png" });

  await parts.getByRole("link", { name: "Log", exact: true }).click();
  await expect(page.getByTestId("log").getByText("line 200 ")).toBeVisible();
  await page.locator('[data-line="198"] .ln').click();
  await expect(page).toHaveURL(/tab=log&l=198/);
  await parts.getByRole("link", { name: "Cache" }).click();
  await expect(page.getByText("150 of 200 actions")).toBeVisible();
  await parts.getByRole("link", { name: "Timing" }).click();
  await expect(page.getByRole("list", { name: "Timing" }).getByRole("listitem").filter({ hasText: "Actions" })).toContainText("31 s");
  await parts.getByRole("link", { name: "Executions" }).click();
  await expect(page.getByRole("list", { name: "Executions of this build, newest first" }).getByRole("listitem")).toHaveCount(5);
  await parts.getByRole("link", { name: "Details" }).click();
  await expect(page.getByRole("region", { name: "Command line", exact: true })).toHaveText("bazel test --bes_backend=grpc://mill:8080 //src/... //docs:all");
});

test("a build is watched while it goes on", async ({ page }) => {
  await page.goto(`${fake.url}/invocations/live-build`);
  const targets = page.getByRole("list", { name: "Targets" });
  await expect(targets).toContainText("To be built");
  await page.getByRole("link", { name: "Log", exact: true }).click();
  await expect(page.getByTestId("log").getByText("line 12 ")).toBeVisible();
  fake.logs.get("b.live")?.append(3);
  await expect(page.getByTestId("log").getByText("line 15 ")).toBeVisible();
  await page.getByRole("link", { name: /^Targets/ }).click();
  fake.queue.targets.set("live-build", [create(InvocationTargetSchema, { label: "//src:mill", status: TargetStatus.BUILT })]);
  fake.queue.invocations.set("live-build", create(InvocationSchema, { ...fake.queue.findInvocation("live-build"), status: InvocationStatus.SUCCEEDED, exitCode: 0, complete: true, finishedAt: timestampFromMs(Date.now()) }));
  fake.queue.changed();
  await expect(page.getByTestId("status")).toHaveText("Succeeded");
  await expect(targets).toContainText("Built");
});

test("what is empty says how to begin", async ({ page }) => {
  await fake.close();
  fake = await startFake();
  const host = new URL(fake.url).host;
  await page.goto(`${fake.url}/queue`);
  await expect(page.getByText("Nothing waits and nothing runs.")).toBeVisible();
  await expect(page.getByText("No runner offers to run actions")).toBeVisible();
  await expect(page.getByRole("region", { name: "Lines for .bazelrc" })).toHaveText(`build --remote_executor=grpc://${host}\nbuild --bes_backend=grpc://${host}\nbuild --bes_results_url=${fake.url}/invocations/`);
  await look(page, "queue-empty");
  await page.goto(`${fake.url}/invocations`);
  await expect(page.getByText("No invocation yet")).toBeVisible();
  await expect(page.getByRole("region", { name: "Lines for .bazelrc" })).toContainText(`--bes_backend=grpc://${host}`);
  await look(page, "invocations-empty");
});

async function look(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `test-results/${name}-light.png` });
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
}
