// Remote execution, asked for as a build tool asks for it, and watched in the browser. MILLRACE_URL says where the server
// is; it needs a runner that runs actions, and none for Windows.
import { Code } from "@connectrpc/connect";
import { expect, test } from "@playwright/test";
import { look, watchProblems } from "./pages.js";
import { BuildTool } from "./remote.js";

test.describe.configure({ mode: "serial" });

const COUNT = 16;
const LONG = `i=0; while [ $i -lt ${COUNT} ]; do i=$((i+1)); echo line $i of ${COUNT}; echo warning $i >&2; sleep 0.5; done; cat include/wheel.h > out.txt`;

let tool: BuildTool;
test.beforeAll(() => {
  tool = new BuildTool(process.env.MILLRACE_URL ?? "");
});

test("what a long action prints appears while it runs; then its result", async ({ page }) => {
  const problems = watchProblems(page);
  const action = await tool.action({ script: LONG });
  await page.goto("/queue");
  await expect(page.getByRole("list", { name: /^Runners of/ }).first()).toBeVisible({ timeout: 20_000 });
  const response = tool.execute(action, { mnemonic: "Genrule", target: "//mill:turn" });
  await page.getByTestId("executions").getByRole("link", { name: "Genrule //mill:turn" }).first().click();
  const stage = page.getByTestId("stage");
  const output = page.getByRole("region", { name: "Standard output as a log", exact: true });
  await expect(output.getByText("line 2 of")).toBeVisible({ timeout: 20_000 });
  await expect(stage).toHaveText("Executing");
  await expect(output.getByText(`line ${COUNT} of`)).toHaveCount(0);
  await expect(page.getByRole("region", { name: "Standard error as a log", exact: true }).getByText("warning 2", { exact: true })).toBeVisible();
  await look(page, "execution-live");
  await expect(stage).toHaveText("Succeeded", { timeout: 40_000 });
  await expect(output.getByText(`line ${COUNT} of`)).toBeVisible();
  await expect(page.getByRole("list", { name: "Timing" }).getByRole("listitem").filter({ hasText: "Executing" })).toContainText(/\d s$/);
  await expect(page.getByRole("list", { name: "Outputs" }).getByRole("link", { name: "out.txt", exact: true })).toBeVisible();
  expect((await response).result?.exitCode).toBe(0);
  await page.reload();
  await expect(page.getByRole("region", { name: "Standard output, text" })).toContainText(`line ${COUNT} of ${COUNT}`);
  await look(page, "execution-done");

  await page.getByRole("link", { name: "Open the action" }).click();
  await expect(page.getByText("exit code 0")).toBeVisible();
  await expect(page.getByRole("region", { name: "Command line" })).toContainText("/bin/sh -c");
  await expect(page.getByText("PATH=/usr/bin:/bin")).toBeVisible();
  await expect(page.getByRole("list", { name: "Recent executions, newest first" })).toContainText("Succeeded");
  const inputs = page.getByRole("list", { name: "Inputs" });
  await inputs.getByRole("button", { name: "include" }).click();
  await expect(inputs.getByRole("link", { name: "wheel.h", exact: true })).toBeVisible();
  await look(page, "action-executed");
  expect(problems).toEqual([]);
});

test("an action page shows the execution that is under way", async ({ page }) => {
  const action = await tool.action({ script: LONG });
  const response = tool.execute(action);
  await page.goto(`/actions/${action.hash}?size=${action.sizeBytes}`);
  await expect(page.getByRole("region", { name: "Standard output as a log", exact: true }).getByText("line 2 of")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole("heading", { name: "Now" })).toHaveCount(0, { timeout: 40_000 });
  await expect(page.getByText("exit code 0")).toBeVisible();
  await response;
});

test("a platform that nobody offers is shown as a diff, then the action fails and says so", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto("/queue");
  await expect(page.getByRole("list", { name: /^Runners of/ }).first()).toBeVisible({ timeout: 20_000 });
  const action = await tool.action({ script: "ver", platform: [{ name: "OSFamily", value: "windows" }] });
  const refused = tool.execute(action).then(
    ({ status }) => ({ code: status?.code ?? 0, message: status?.message ?? "" }),
    (error: { code: number; message: string }) => ({ code: error.code, message: error.message }),
  );
  await expect(page.getByText(/1 action asks for OSFamily=windows; no runner offers it\. It fails in \d+ s\./)).toBeVisible();
  const row = page.locator("tr[data-fits=false]").filter({ hasText: "OSFamily" }).first();
  await expect(row).toContainText("− windows");
  await expect(row).toContainText(/\+ (linux|not offered)/i);
  // One picture: it is gone in a few seconds.
  await page.screenshot({ path: "test-results/real-queue-mismatch-light.png" });
  const { code, message } = await refused;
  expect(code).toBe(Code.FailedPrecondition);
  expect(message).toContain("windows");
  await expect(page.getByRole("heading", { name: "No runner can ever take these" })).toHaveCount(0);
  await page.getByRole("link", { name: "Finished" }).click();
  await expect(page.getByTestId("executions").getByRole("listitem").filter({ hasText: "windows" }).first()).toContainText("Failed");
  expect(problems).toEqual([]);
});

test("a failed command has its exit code and its output, and one that runs can be cancelled", async ({ page }) => {
  const bad = await tool.action({ script: "echo the wheel is stuck >&2; exit 3" });
  expect((await tool.execute(bad)).result?.exitCode).toBe(3);
  await page.goto(`/executions/${await tool.executionOf(bad.hash)}`);
  await expect(page.getByTestId("stage")).toHaveText("Exit code 3");
  await expect(page.getByText("the wheel is stuck", { exact: true })).toBeVisible();
  await look(page, "execution-failed");

  const long = await tool.action({ script: "echo begun; sleep 100" });
  const cancelled = tool.execute(long).then(
    ({ status }) => status?.code,
    (error: { code: number }) => error.code,
  );
  await page.goto(`/executions/${await tool.executionOf(long.hash)}`);
  await expect(page.getByRole("region", { name: "Standard output as a log", exact: true }).getByText("begun")).toBeVisible({ timeout: 20_000 });
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await expect(page.getByTestId("stage")).toHaveText("Cancelled", { timeout: 20_000 });
  expect(await cancelled).toBe(Code.Canceled);
});
