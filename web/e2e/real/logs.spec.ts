// Logs on a real server: a search in a step's log, a line in pieces, the log room and a named log.
import { expect, test, type APIRequestContext, type Page } from "@playwright/test";
import { look, watchProblems } from "./pages.js";

test.describe.configure({ mode: "serial" });

const LINES = 30_000;
const WORKFLOW = `name: logs
on: workflow_dispatch
jobs:
  a:
    runs-on: self-hosted
    steps:
      - name: Print
        run: |
          seq 1 ${LINES} | sed 's/^/water level /'
          printf '\\033[31mthe \\033[1mwheel\\033[0m stalled\\n'
          head -c 140000 /dev/zero | tr '\\0' x; echo ' the wheel turns'
          echo 'the end'
`;

const row = (page: Page, line: number) => page.locator(`[data-line="${line}"]:not([data-pending])`);
const field = (page: Page) => page.getByRole("textbox", { name: "Search in this log" });
const stand = (page: Page) => page.getByTestId("find-stand");

let run = "";
let logId = "";

test("a search in the log of a step", async ({ page, request }) => {
  const problems = watchProblems(page);
  await start(request);
  await page.goto(`/runs/${run}?job=a&step=0`);
  await expect(page.getByTestId("log").getByText("the end", { exact: true })).toBeVisible();
  await page.keyboard.press("Control+f");
  await field(page).fill("LEVEL 12345");
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(row(page, 12_345).locator("mark.lh")).toHaveText("level 12345");
  await expect(page).toHaveURL(/q=LEVEL/);
  // Escape sequences are looked past; the text is marked over their borders.
  await field(page).fill("the wheel stalled");
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(row(page, LINES + 1).locator("mark.lh")).toHaveText(["the ", "wheel", " stalled"]);
  await page.getByRole("button", { name: "Regular expression" }).click();
  await field(page).fill("level \\d*99$");
  await expect(stand(page)).toHaveText(/^\d+ of 300 lines$/);
  await field(page).press("Enter");
  await look(page, "log-search");
  await field(page).fill("(wheel");
  await expect(page.getByRole("alert")).toContainText(/unclosed group|pattern/);
  await page.keyboard.press("Escape");
  await expect(field(page)).toHaveCount(0);
  expect(problems.filter((text) => !text.includes("400"))).toEqual([]);
});

test("a line in pieces, full page, in a link", async ({ page, context }) => {
  await page.goto(`/logs/${logId}?q=the+wheel+turns`);
  await expect(stand(page)).toHaveText("1 of 1 line");
  const first = LINES + 2;
  await expect(row(page, first).locator(".ln")).toHaveText(String(first));
  for (const piece of [1, 2]) await expect(row(page, first + piece).locator(".ln")).toHaveText("·");
  await expect(row(page, first + 2).locator("mark.lh")).toHaveText("the wheel turns");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await row(page, first).locator(".ln").click();
  await row(page, first + 2).locator(".ln").click({ modifiers: ["Shift"] });
  await page.getByRole("button", { name: "Copy 3 lines" }).click();
  await expect.poll(() => page.evaluate(async () => (await navigator.clipboard.readText()).length)).toBe(140_000 + " the wheel turns".length);
  await look(page, "log");
});

test("the log room and a named log", async ({ page, request }) => {
  const problems = watchProblems(page);
  await page.goto("/logs");
  await expect(page.getByRole("heading", { name: "How long logs are kept" })).toBeVisible();
  for (const text of ["the first record", "the second record"]) {
    const answer = await request.post("/log.v1.Log/Produce", { data: { record: { value: Buffer.from(text).toString("base64") }, log: "greetings" } });
    expect(answer.ok()).toBe(true);
  }
  // It comes by itself.
  const link = page.getByRole("list", { name: "Named logs" }).getByRole("link", { name: /^greetings/ });
  await expect(link).toContainText("2 records", { timeout: 20_000 });
  await look(page, "logs");
  await link.click();
  await expect(page.getByRole("heading", { name: "greetings" })).toBeVisible();
  await expect(row(page, 2)).toContainText("the second record");
  await request.post("/log.v1.Log/Produce", { data: { record: { value: Buffer.from("the third record").toString("base64") }, log: "greetings" } });
  await expect(row(page, 3)).toContainText("the third record");
  // Loaded anew: the dots of an id are no file.
  await page.reload();
  await expect(row(page, 3)).toContainText("the third record");
  expect(problems).toEqual([]);
  await page.goto("/logs/nobody.0.0.0.1.0");
  await expect(page.getByText("There is no log")).toBeVisible();
});

/** Runs the workflow to its end. */
async function start(request: APIRequestContext): Promise<void> {
  const answer = await request.post("/millrace.v1.PipelineService/Run", { data: { workflow: WORKFLOW, fileName: "logs.yml" } });
  expect(answer.ok()).toBe(true);
  run = ((await answer.json()) as { run: { id: string } }).run.id;
  await expect
    .poll(
      async () => {
        const got = (await (await request.post("/millrace.v1.PipelineService/GetRun", { data: { runId: run } })).json()) as { run: { state: string; jobs: { steps: { logId: string }[] }[] } };
        logId = got.run.jobs[0]?.steps[0]?.logId ?? "";
        return got.run.state;
      },
      { timeout: 60_000 },
    )
    .toBe("STATE_SUCCESS");
}
