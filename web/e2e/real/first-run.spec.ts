// The first minute, against a real server with an empty data folder and a runner: MILLRACE_URL says where.
import { expect, test } from "@playwright/test";
import { look, watchProblems } from "./pages.js";

test.describe.configure({ mode: "serial" });

test("from an empty server to a green run, watched live", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto("/");
  await expect(row(page, "The server is up")).toHaveAttribute("data-done", "true");
  // The row turns green by itself.
  await expect(row(page, "A runner is connected")).toHaveAttribute("data-done", "true", { timeout: 20_000 });
  await expect(row(page, "A first pipeline")).toHaveAttribute("data-done", "false");
  await look(page, "home-empty");
  await page.goto("/runs");
  await expect(page.getByText("No runs yet")).toBeVisible();
  await look(page, "runs-empty");
  await page.goto("/");

  await page.getByRole("button", { name: "Run the example" }).click();
  await expect(page).toHaveURL(/\/runs\/[^/]+/);
  const state = page.getByTestId("run-state");
  const log = page.getByTestId("log");

  // Lines appear while the run is running, one after the other.
  await expect(log.getByText("line 3 of 20")).toBeVisible({ timeout: 30_000 });
  await expect(state).toContainText("Running");
  await expect(log.getByText("line 20 of 20")).toHaveCount(0);
  await expect(log.getByText("line 8 of 20")).toBeVisible({ timeout: 30_000 });
  await expect(state).toContainText("Running");
  await look(page, "run-live");
  await expect(state).toContainText("Succeeded", { timeout: 40_000 });

  await page.getByRole("button", { name: "Summary and messages" }).click();
  await expect(page.getByText("chose the word")).toBeVisible();
  await look(page, "run-summary");
  await page.getByRole("button", { name: /^Succeeded Greet/i }).click();
  await page.getByRole("button", { name: /Say hello/ }).click();
  await expect(log.getByText(/^Hello from/)).toBeVisible();
  await expect(log.locator(".f2", { hasText: "green" })).toBeVisible();
  await page.getByRole("button", { name: /Count to twenty/ }).click();
  await expect(log.locator("[data-line]")).not.toHaveCount(0);
  await expect(log.getByText("line 20 of 20")).toBeVisible();

  await page.goto("/");
  await expect(row(page, "A first pipeline")).toHaveAttribute("data-done", "true");
  await look(page, "home-after");
  expect(problems).toEqual([]);
});

test("a failing run opens at its first error", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto("/");
  await page.getByRole("button", { name: "Run one that fails" }).click();
  await expect(page.getByTestId("run-state")).toContainText("Failed", { timeout: 60_000 });
  const run = new URL(page.url()).pathname;
  await page.goto(run);
  const error = page.locator("[data-kind=error]", { hasText: "the wheel does not turn" });
  await expect(error).toBeInViewport();
  await expect(error).toHaveAttribute("data-chosen", "");
  await expect(page.getByTestId("log").getByText("sample 1: clear")).not.toBeInViewport();
  await look(page, "run-failed");
  await page.getByRole("button", { name: /^Skipped deploy/i }).click();
  await expect(page.getByText(/Skipped: there is no log|not run/).first()).toBeVisible();
  expect(problems).toEqual([]);
});

test("the other pages", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto("/runs");
  await expect(page.getByTestId("runs").getByRole("link")).not.toHaveCount(0);
  await look(page, "runs");
  await page.getByRole("link", { name: "Failed", exact: true }).click();
  await expect(page).toHaveURL(/state=failure/);
  await expect(page.getByTestId("runs").getByRole("link", { name: /Succeeded/ })).toHaveCount(0);
  await page.goto("/runners");
  await expect(page.getByRole("list", { name: "Runners" })).toBeVisible();
  await look(page, "runners");
  await page.getByRole("button", { name: "Add a runner" }).click();
  await page.getByRole("button", { name: "Make a registration token" }).click();
  await expect(page.getByText("millrace-runner --server")).toBeVisible();
  await page.keyboard.press("Escape");
  expect(problems).toEqual([]);
  await page.goto("/runs/00000000-0000-0000-0000-000000000000");
  await expect(page.getByText("There is no such run")).toBeVisible();
  await page.goto("/no/such/page");
  await expect(page.getByText("There is nothing at this address")).toBeVisible();
  await look(page, "not-found");
});

test("a run that appears while the list is open comes by itself, and can be cancelled", async ({ page, request }) => {
  await page.goto("/runs");
  await expect(page.getByRole("heading", { name: "Runs" })).toBeVisible();
  const workflow = "name: slow-one\non: push\njobs:\n  a:\n    runs-on: self-hosted\n    steps:\n      - run: sleep 60\n";
  const answer = await request.post("/millrace.v1.PipelineService/Run", { data: { workflow, fileName: "slow.yml" } });
  expect(answer.ok()).toBe(true);
  const link = page.getByTestId("runs").getByRole("link", { name: /slow-one/ });
  await expect(link).toBeVisible();
  await expect(link).toContainText("Running", { timeout: 20_000 });
  await link.click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await expect(page.getByTestId("run-state")).toContainText("Cancelled", { timeout: 40_000 });
  await page.getByRole("button", { name: /Rerun failed jobs/ }).click();
  await expect(page.getByText("attempt 2")).toBeVisible();
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: /Terminate now/ }).click();
  await expect(page.getByTestId("run-state")).toContainText("Cancelled", { timeout: 40_000 });
});

function row(page: import("@playwright/test").Page, title: string) {
  return page.getByRole("listitem").filter({ hasText: title }).first();
}
