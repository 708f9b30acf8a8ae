// The cache's pages by hand and by keyboard: figures, plot, an action, its output tree, a file that comes out as it went in.
import AxeBuilder from "@axe-core/playwright";
import { readFile } from "node:fs/promises";
import { expect, test, type Page } from "@playwright/test";
import { fillCache, HEADER_TEXT, LONG_TEXT, OBJECT, PLACE, type Sample } from "./cache-sample.js";
import { startFake, type Fake } from "./fake-server.js";

let fake: Fake;
let sample: Sample;
const problems: string[] = [];

test.beforeEach(async ({ page }) => {
  fake = await startFake();
  sample = fillCache(fake.cache);
  problems.length = 0;
  page.on("console", (message) => message.type() === "error" && !message.text().includes("404") && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
});
test.afterEach(async () => {
  await fake.close();
  expect(problems).toEqual([]);
});

const action = (more = "") => `${fake.url}/actions/${sample.full.hash}?size=${sample.full.sizeBytes}&instance=${PLACE}${more}`;

test("the page says how full it is and how well it does, with a plot and a table", async ({ page }) => {
  await page.goto(fake.url);
  await expect(page.getByRole("heading", { name: "First steps" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/cache$/);
  await expect(page.getByRole("link", { name: "Cache", exact: true })).toHaveAttribute("aria-current", "page");
  await expect(page.getByRole("meter", { name: "6.34 GiB of 10 GiB" })).toHaveAttribute("aria-valuetext", /63 %/);
  await expect(page.getByText("1\u202f204 (700 MiB)")).toBeVisible();
  const plot = page.getByTestId("plot");
  await expect(plot.locator("canvas")).toBeVisible();
  await expect(plot).toHaveAttribute("aria-label", /^Hit rate in the last 24 hours: \d\d %, between \d\d % and \d\d %/);
  expect(await painted(page)).toBeGreaterThan(500);
  await page.getByText("The same as a table").click();
  expect(await page.getByRole("region", { name: "Activity as a table" }).getByRole("row").count()).toBeGreaterThan(40);
  await page.getByRole("navigation", { name: "How far back" }).getByRole("link", { name: "7 d" }).click();
  await expect(page).toHaveURL(/window=7d/);
  await expect(plot).toHaveAttribute("aria-label", /the last 7 days/);
  // Pointing at it says the figures of a step.
  await plot.hover({ position: { x: 500, y: 60 } });
  await expect(page.getByText(/\d\d % of [\d\u202f]+ lookups$|no lookups$/)).toBeVisible();
});

test("the theme changes the plot's colours", async ({ page }) => {
  await page.goto(`${fake.url}/cache`);
  await expect(page.getByTestId("plot").locator("canvas")).toBeVisible();
  const light = await painted(page);
  await page.keyboard.press("t");
  await expect(page.getByTestId("plot").locator("canvas")).toBeVisible();
  expect(await painted(page)).toBeGreaterThan(light / 3);
  expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
});

test("one instance or all, in the link", async ({ page }) => {
  await page.goto(`${fake.url}/cache`);
  const latest = page.getByRole("list", { name: "Latest actions" });
  await expect(latest.getByRole("listitem")).toHaveCount(3);
  await page.getByLabel("Instance").selectOption(PLACE);
  await expect(page).toHaveURL(/instance=acme\/mill/);
  await expect(latest.getByRole("listitem")).toHaveCount(2);
  await page.reload();
  await expect(page.getByLabel("Instance")).toHaveValue(PLACE);
  await page.getByLabel("Instance").selectOption("");
  await expect(page).toHaveURL(/instance=$/);
  await expect(latest.getByRole("listitem")).toHaveCount(1);
});

test("an empty cache says how to use it; it fills by itself", async ({ page }) => {
  await fake.close();
  fake = await startFake();
  await page.goto(fake.url);
  const row = page.getByRole("listitem").filter({ hasText: "Remote cache used" });
  await expect(row).toHaveAttribute("data-done", "false");
  await expect(row).toContainText(`build --remote_cache=grpc://${new URL(fake.url).host}`);
  await page.goto(`${fake.url}/cache`);
  await expect(page.getByText("Nothing is in the cache yet")).toBeVisible();
  for (const [tool, line] of [
    ["Bazel over HTTP", `build --remote_cache=${fake.url}`],
    ["curl", `-T FILE ${fake.url}/cas/$hash`],
    ["ccache", `remote_storage = ${fake.url}/cache`],
    ["sccache", `SCCACHE_WEBDAV_ENDPOINT=${fake.url}/cache`],
    ["Gradle", `url = "${fake.url}/cache/"`],
  ] as const) {
    await page.getByRole("button", { name: tool, exact: true }).click();
    await expect(page.getByRole("region", { name: `Lines for ${tool}` })).toContainText(line);
  }
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.screenshot({ path: "test-results/cache-empty-light.png" });
  sample = fillCache(fake.cache);
  await expect(page.getByTestId("plot")).toBeVisible();
  await page.goto(fake.url);
  await expect(row).toHaveAttribute("data-done", "true");
});

test("no lookups in the window says so", async ({ page }) => {
  fake.cache.activity = (ago, seconds) => (seconds > 3_600 && ago > 20 ? { actionHits: 5 } : undefined);
  await page.goto(`${fake.url}/cache?window=1h`);
  await expect(page.getByTestId("no-activity")).toContainText("Nothing was asked of the cache in the last hour.");
  await page.getByRole("link", { name: "30 d" }).click();
  await expect(page.getByTestId("plot")).toBeVisible();
});

test("from the list to an action, down its tree, and a file comes out as it went in", async ({ page }) => {
  await page.goto(`${fake.url}/cache`);
  await page.getByRole("link", { name: "CppCompile" }).click();
  await expect(page).toHaveURL(/\/actions\/[0-9a-f]{64}\?size=\d+&instance=acme\/mill$/);
  await expect(page.getByText("exit code 0")).toBeVisible();
  await expect(page.getByText("linux-7")).toBeVisible();
  await expect(page.getByRole("listitem").filter({ hasText: "Executing" })).toContainText("2.2 s");
  await expect(page.getByRole("region", { name: "Standard output, text" })).toHaveText("compiled wheel.c\n");
  await expect(page.getByText("<script>alert(1)</script>")).toBeVisible();
  await expect(page.getByRole("region", { name: "Command line" })).toHaveText(`/usr/bin/gcc -c 'src/wheel file.c' '-DNAME="it'\\''s"' -o bazel-out/k8-fastbuild/bin/src/wheel.o`);
  await expect(page.getByText("container-image=docker://debian:12")).toBeVisible();
  await expect(page.getByText("15 m 00 s")).toBeVisible();

  const outputs = page.getByRole("list", { name: "Outputs" });
  await outputs.getByRole("button", { name: "bazel-out/k8-fastbuild/bin/lib" }).click();
  await expect(outputs.getByText("libwheel.a", { exact: true })).toBeVisible();
  await expect(outputs.getByRole("button", { name: "lost" })).toBeDisabled();
  await expect(outputs.getByText("is not in the tree that was uploaded")).toBeVisible();
  // The rest by keyboard.
  await outputs.getByRole("button", { name: "bazel-out/k8-fastbuild/bin/lib" }).press("ArrowDown");
  await expect(outputs.getByRole("button", { name: "include" })).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await expect(outputs.getByRole("link", { name: "wheel.h", exact: true })).toBeVisible();
  await expect(outputs.getByText("→ mill")).toBeVisible();
  expect(await downloaded(page, "wheel.h")).toEqual(Buffer.from(HEADER_TEXT));
  expect(await downloaded(page, "libwheel.a")).toEqual(Buffer.from(OBJECT));
  expect((await new AxeBuilder({ page }).analyze()).violations.map((each) => each.id)).toEqual([]);
  await page.screenshot({ path: "test-results/action-tree-light.png", fullPage: true });
  await outputs.getByRole("button", { name: "mill", exact: true }).press("ArrowLeft");
  await expect(outputs.getByRole("link", { name: "wheel.h", exact: true })).toHaveCount(0);

  await outputs.getByRole("button", { name: "bazel-out/k8-fastbuild/bin/gone" }).click();
  await expect(outputs.getByText("is not in the cache any more")).toBeVisible();
});

test("what is missing is named", async ({ page }) => {
  await page.goto(`${fake.url}/actions/${sample.bare.hash}`);
  await expect(page.getByText("exit code 3")).toBeVisible();
  await expect(page.getByText("It made no files")).toBeVisible();
  await expect(page.getByText("The Action message is not in the cache")).toBeVisible();
  await page.goto(`${fake.url}/actions/${sample.lost.hash}?size=140&fn=blake3`);
  await expect(page.getByText("The cache has no result of this action")).toBeVisible();
  await page.goto(`${fake.url}/actions/xyz`);
  await expect(page.getByText("is no hash")).toBeVisible();
  await page.goto(`${fake.url}/blobs/${sample.lost.hash}?size=140`);
  await expect(page.getByText("has no such blob")).toBeVisible();
});

test("the input root, up and down by its path", async ({ page }) => {
  await page.goto(action());
  await page.getByRole("link", { name: "Browse the input root" }).click();
  await expect(page).toHaveURL(/kind=directory/);
  const entries = page.getByRole("list", { name: "Entries" });
  await entries.getByRole("link", { name: "include" }).click();
  await entries.getByRole("link", { name: "mill", exact: true }).click();
  await expect(page).toHaveURL(/at=include\/mill/);
  await entries.getByRole("link", { name: "wheel.h", exact: true }).click();
  await expect(page.getByText("#pragma once")).toBeVisible();
  await page.reload();
  await expect(page.getByText("#pragma once")).toBeVisible();
  const path = page.getByRole("navigation", { name: "Path" });
  await expect(path).toHaveText("inputs/include/mill/wheel.h");
  await path.getByRole("link", { name: "include" }).click();
  await expect(entries.getByText("→ mill")).toBeVisible();
  await path.getByRole("link", { name: "inputs" }).click();
  await entries.getByRole("link", { name: "gone" }).click();
  await expect(page.getByText("The directory gone is not in the cache")).toBeVisible();
});

test("a digest opens, whatever its form", async ({ page }) => {
  await page.goto(`${fake.url}/cache`);
  await expect(page.getByTestId("plot")).toBeVisible();
  await page.keyboard.press("/");
  const box = page.getByLabel("Open by digest");
  await expect(box).toBeFocused();
  await box.fill("nonsense");
  await box.press("Enter");
  await expect(page.getByRole("alert")).toContainText("is no hash");
  await box.fill(`bytestream://127.0.0.1/${PLACE}/blobs/${sample.report.hash}/${sample.report.sizeBytes}`);
  await box.press("Enter");
  await expect(page.getByText("line 9 of the long report")).toBeVisible();
  await expect(page.getByText(/The first 64 KiB of/)).toBeVisible();
  expect(await downloaded(page, sample.report.hash, "Download")).toEqual(Buffer.from(LONG_TEXT));
  // By the hash alone, as over HTTP.
  await page.goto(`${fake.url}/blobs/${sample.report.hash}?instance=${PLACE}`);
  await expect(page.getByText(`(${sample.report.sizeBytes} bytes)`)).toBeVisible();
  await page.goto(`${fake.url}/cache?instance=${PLACE}`);
  await page.getByLabel("Open by digest").fill(`${sample.full.hash}/${sample.full.sizeBytes}`);
  await page.getByRole("button", { name: "Open action" }).click();
  await expect(page.getByText("linux-7")).toBeVisible();
});

async function downloaded(page: Page, name: string, label = `Download ${name}`): Promise<Buffer> {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: label, exact: true }).first().click()]);
  expect(file.suggestedFilename()).toBe(name);
  return readFile(await file.path());
}

/** How many pixels of the plot are not empty. */
function painted(page: Page): Promise<number> {
  return page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>("[data-testid=plot] canvas");
    const pixels = canvas?.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let count = 0;
    for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== 0) count += 1;
    return count;
  });
}
