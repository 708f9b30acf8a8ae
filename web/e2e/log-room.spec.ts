// The room of logs with more named logs than a page of the list.
import { expect, test } from "@playwright/test";
import { startFake, type Fake } from "./fake-server.js";

const LOGS = 450;

let fake: Fake;

test.beforeEach(async () => {
  fake = await startFake();
});
test.afterEach(() => fake.close());

test("named logs come in pages, and none is left out", async ({ page }) => {
  const name = (index: number) => `log-${String(index).padStart(3, "0")}`;
  fake.room = { namedLogs: Array.from({ length: LOGS }, (_, index) => ({ name: name(index), logId: `r.0123456789abcdef.${name(index)}`, nextRecord: 1n })) };
  await page.goto(`${fake.url}/logs`);
  const rows = page.getByRole("list", { name: "Named logs" }).getByRole("listitem");
  const more = page.getByRole("button", { name: "Show more" });
  await expect(rows).toHaveCount(200);
  await more.click();
  await expect(rows).toHaveCount(400);
  await more.click();
  await expect(rows).toHaveCount(LOGS);
  await expect(rows.last()).toContainText(name(LOGS - 1));
  await expect(more).toHaveCount(0);
  // The list is asked for again all the while, and stays as long as it was.
  const asked = fake.calls.get("GetLogRoom") ?? 0;
  await expect.poll(() => fake.calls.get("GetLogRoom") ?? 0).toBeGreaterThan(asked + 3);
  await expect(rows).toHaveCount(LOGS);
});
