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
          echo 'the end'
`;

const row = (page: Page, line: number) => page.locator(`[data-line="${line}"]:not([data-pending])`);
const field = (page: Page) => page.getByRole("textbox", { name: "Search in this log" });
const stand = (page: Page) => page.getByTestId("find-stand");

let run = "";

test("a search in the log of a step", async ({ page, request }) => {
  const problems = watchProblems(page);
  await start(request);
  await page.goto(`/runs/${run}?job=a&step=0`);
  await expect(page.getByTestId("log").getByText("the end", { exact: true })).toBeVisible();
  await page.keyboard.press("Control+f");
  await field(page).fill("LEVEL 12345");
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(page.locator("[data-current] mark.lh")).toHaveText("level 12345");
  await expect(page).toHaveURL(/q=LEVEL/);
  // Escape sequences are looked past; the text is marked over their borders.
  await field(page).fill("the wheel stalled");
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(page.locator("[data-current] mark.lh")).toHaveText(["the ", "wheel", " stalled"]);
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

test("a line in pieces, full page, in a link", async ({ page, context, request }) => {
  const text = `${"x".repeat(140_000)} the wheel turns`;
  for (const record of ["before", text, "after"]) await produce(request, "long", record);
  const room = (await (await request.post("/millrace.v1.LogService/GetLogRoom", { data: {} })).json()) as { namedLogs: { name: string; logId: string }[] };
  const id = room.namedLogs.find(({ name }) => name === "long")?.logId ?? "";
  await page.goto(`/logs/${id}?q=x+the+wheel+turns`);
  await expect(stand(page)).toHaveText("1 of 1 line");
  await expect(page.locator("[data-current]")).toHaveCount(3);
  await expect(row(page, 2).locator(".ln")).toHaveText("2");
  for (const piece of [3, 4]) await expect(row(page, piece).locator(".ln")).toHaveText("·");
  await expect(row(page, 4).locator("mark.lh")).toHaveText("x the wheel turns");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await row(page, 2).locator(".ln").click();
  await row(page, 4).locator(".ln").click({ modifiers: ["Shift"] });
  await page.getByRole("button", { name: "Copy 3 lines" }).click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(text);
  await look(page, "log");
});

test("the log room and a named log", async ({ page, request }) => {
  const problems = watchProblems(page);
  await page.goto("/logs");
  await expect(page.getByRole("heading", { name: "How long logs are kept" })).toBeVisible();
  for (const text of ["the first record", "the second record"]) await produce(request, "greetings", text);
  // It comes by itself.
  const link = page.getByRole("list", { name: "Named logs" }).getByRole("link", { name: /^greetings/ });
  await expect(link).toContainText("2 records", { timeout: 20_000 });
  await look(page, "logs");
  await link.click();
  await expect(page.getByRole("heading", { name: "greetings" })).toBeVisible();
  await expect(row(page, 2)).toContainText("the second record");
  await produce(request, "greetings", "the third record");
  await expect(row(page, 3)).toContainText("the third record");
  // Loaded anew: the dots of an id are no file.
  await page.reload();
  await expect(row(page, 3)).toContainText("the third record");
  expect(problems).toEqual([]);
  await page.goto("/logs/nobody.0.0.0.1.0");
  await expect(page.getByText("There is no log")).toBeVisible();
});

async function produce(request: APIRequestContext, log: string, text: string): Promise<void> {
  const answer = await request.post("/log.v1.Log/Produce", { data: { record: { value: Buffer.from(text).toString("base64") }, log } });
  expect(answer.ok()).toBe(true);
}

/** Runs the workflow to its end. */
async function start(request: APIRequestContext): Promise<void> {
  const answer = await request.post("/millrace.v1.PipelineService/Run", { data: { workflow: WORKFLOW, fileName: "logs.yml" } });
  expect(answer.ok()).toBe(true);
  run = ((await answer.json()) as { run: { id: string } }).run.id;
  await expect
    .poll(
      async () => {
        const got = (await (await request.post("/millrace.v1.PipelineService/GetRun", { data: { runId: run } })).json()) as { run: { state: string } };
        return got.run.state;
      },
      { timeout: 60_000 },
    )
    .toBe("STATE_SUCCESS");
}
