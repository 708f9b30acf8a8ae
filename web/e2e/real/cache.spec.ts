// The remote cache, filled as a build tool fills it, then looked at: size, hit rate over time, an action, its output tree,
// a file that comes out as it went in. MILLRACE_URL says where the server is.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { expect, test, type APIRequestContext, type Page } from "@playwright/test";
import { ActionResultSchema, ActionSchema, CommandSchema, DirectorySchema, TreeSchema } from "../../src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { look, watchProblems } from "./pages.js";

test.describe.configure({ mode: "serial" });

const REAPI = "/build.bazel.remote.execution.v2";
/** Several segments, as projects have them. */
const PLACE = "e2e/mill";
const LIBRARY = Buffer.from(new Uint8Array(200_000).map((_, index) => (index * 31) % 253));
const HEADER_TEXT = Buffer.from("#pragma once\nint turn(int wheel);\n");
/** More than comes in a batch: it is read as a stream. */
const REPORT = Buffer.from(Array.from({ length: 120_000 }, (_, index) => `line ${index + 1} of the report\n`).join(""));
const HITS = 3;

interface Blob {
  bytes: Buffer;
  digest: { hash: string; sizeBytes: bigint };
}

const blob = (bytes: Uint8Array): Blob => ({ bytes: Buffer.from(bytes), digest: { hash: createHash("sha256").update(bytes).digest("hex"), sizeBytes: BigInt(bytes.length) } });

const library = blob(LIBRARY);
const header = blob(HEADER_TEXT);
const report = blob(REPORT);
const mill = create(DirectorySchema, { files: [{ name: "wheel.h", digest: header.digest }] });
const millBlob = blob(toBinary(DirectorySchema, mill));
const include = create(DirectorySchema, { directories: [{ name: "mill", digest: millBlob.digest }] });
const includeBlob = blob(toBinary(DirectorySchema, include));
const root = create(DirectorySchema, { directories: [{ name: "include", digest: includeBlob.digest }], files: [{ name: "libwheel.a", digest: library.digest, isExecutable: true }] });
const tree = blob(toBinary(TreeSchema, create(TreeSchema, { root, children: [include, mill] })));
const inputs = blob(toBinary(DirectorySchema, create(DirectorySchema, { directories: [{ name: "include", digest: includeBlob.digest }] })));
const command = blob(toBinary(CommandSchema, create(CommandSchema, { arguments: ["cc", "-o", "out/lib", "a file.c"], environmentVariables: [{ name: "LANG", value: "C" }], outputPaths: ["out/lib"] })));
const action = blob(toBinary(ActionSchema, create(ActionSchema, { commandDigest: command.digest, inputRootDigest: inputs.digest, timeout: { seconds: 60n } })));
const result = create(ActionResultSchema, {
  outputFiles: [{ path: "out/report.txt", digest: report.digest }],
  outputDirectories: [{ path: "out/lib", treeDigest: tree.digest }],
  stdoutRaw: new TextEncoder().encode("the wheel turns\n"),
  executionMetadata: { worker: "worker-1", executionStartTimestamp: { seconds: 1_790_000_000n }, executionCompletedTimestamp: { seconds: 1_790_000_004n } },
});
const unknown = blob(Buffer.from("an action that nobody stored"));

test("before: nothing, and how to begin", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto("/cache");
  await expect(page.getByText("Nothing is in the cache yet")).toBeVisible();
  await expect(page.getByRole("region", { name: "Lines for Bazel" })).toContainText(`--remote_cache=grpc://${new URL(page.url()).host}`);
  await look(page, "cache-empty");
  await page.goto("/");
  await expect(used(page)).toHaveAttribute("data-done", "false");
  expect(problems).toEqual([]);
});

test("filled as a build tool does it, the page shows size and hit rate over time", async ({ page, request }) => {
  const problems = watchProblems(page);
  await page.goto("/");
  await fill(request);
  // By itself.
  await expect(used(page)).toHaveAttribute("data-done", "true", { timeout: 20_000 });
  await used(page).getByRole("link").click();
  await expect(page).toHaveURL(/\/cache$/);
  await expect(page.getByRole("meter")).toHaveAttribute("aria-valuetext", /^[\d.]+ [KM]iB of /);
  await expect(page.getByText("Blobs", { exact: true }).locator("..")).toContainText(/[1-9]/);
  const plot = page.getByTestId("plot");
  await expect(plot.locator("canvas")).toBeVisible();
  await expect(plot).toHaveAttribute("aria-label", `Hit rate in the last 24 hours: 75 %; ${HITS} of ${HITS + 1} lookups found something.`);
  await expect(page.getByRole("definition").filter({ hasText: "as far as results say it" })).toContainText("12 s");
  await page.getByRole("link", { name: "1 h", exact: true }).click();
  await expect(plot).toHaveAttribute("aria-label", /last hour: 75 %/);
  await page.getByLabel("Instance").selectOption(PLACE);
  await expect(page.getByRole("list", { name: "Latest actions" }).getByRole("listitem")).toHaveCount(2);
  await look(page, "cache");
  expect(problems).toEqual([]);
});

test("an action opens, its output tree unfolds, a file comes out as it went in", async ({ page }) => {
  const problems = watchProblems(page);
  await page.goto(`/cache?instance=${PLACE}`);
  await page.getByRole("list", { name: "Latest actions" }).getByRole("listitem").filter({ hasText: "Hit" }).getByRole("link").click();
  await expect(page).toHaveURL(new RegExp(`/actions/${action.digest.hash}`));
  await expect(page.getByText("exit code 0")).toBeVisible();
  await expect(page.getByText("worker-1")).toBeVisible();
  await expect(page.getByText("the wheel turns")).toBeVisible();
  await expect(page.getByRole("region", { name: "Command line" })).toHaveText("cc -o out/lib 'a file.c'");
  const outputs = page.getByRole("list", { name: "Outputs" });
  await outputs.getByRole("button", { name: "out/lib" }).click();
  await outputs.getByRole("button", { name: "include" }).click();
  await outputs.getByRole("button", { name: "mill" }).click();
  await expect(outputs.getByRole("link", { name: "wheel.h", exact: true })).toBeVisible();
  await look(page, "action");
  expect(await downloaded(page, "wheel.h")).toEqual(HEADER_TEXT);
  expect(await downloaded(page, "libwheel.a")).toEqual(LIBRARY);
  await outputs.getByRole("link", { name: "out/report.txt" }).click();
  await expect(page.getByText("line 9 of the report")).toBeVisible();
  expect(await downloaded(page, "report.txt", "Download")).toEqual(REPORT);
  await look(page, "blob");
  await page.goBack();
  await page.getByRole("link", { name: "Browse the input root" }).click();
  for (const name of ["include", "mill", "wheel.h"]) await page.getByRole("list", { name: "Entries" }).getByRole("link", { name, exact: true }).click();
  await expect(page.getByText("int turn(int wheel);")).toBeVisible();
  await expect(page.getByRole("navigation", { name: "Path" })).toHaveText("inputs/include/mill/wheel.h");
  await look(page, "directory-file");
  expect(problems).toEqual([]);
});

test("by digest, and what is not there", async ({ page }) => {
  await page.goto(`/cache?instance=${PLACE}`);
  const box = page.getByLabel("Open by digest");
  await box.fill(header.digest.hash);
  await box.press("Enter");
  await expect(page.getByText(`(${header.digest.sizeBytes} bytes)`)).toBeVisible();
  await page.goto(`/blobs/${header.digest.hash}?size=${header.digest.sizeBytes}`);
  await expect(page.getByText("has no such blob")).toBeVisible();
  await page.goto(`/actions/${unknown.digest.hash}?size=${unknown.digest.sizeBytes}&instance=${PLACE}`);
  await expect(page.getByText("The cache has no result of this action")).toBeVisible();
  await expect(page.getByText("The Action message is not in the cache")).toBeVisible();
  await look(page, "action-lost");
});

async function fill(request: APIRequestContext): Promise<void> {
  for (const blobs of [[library, header, millBlob, includeBlob, tree, inputs, command, action], [report]]) {
    const answer = (await call(request, "ContentAddressableStorage/BatchUpdateBlobs", { instanceName: PLACE, requests: blobs.map(({ bytes, digest }) => ({ digest: wire(digest), data: bytes.toString("base64") })) })) as { responses: { status?: { code?: number } }[] };
    expect(answer.responses.map(({ status }) => status?.code ?? 0)).toEqual(blobs.map(() => 0));
  }
  const actionDigest = wire(action.digest);
  await call(request, "ActionCache/UpdateActionResult", { instanceName: PLACE, actionDigest, actionResult: toJson(ActionResultSchema, result) });
  for (let i = 0; i < HITS; i += 1) await call(request, "ActionCache/GetActionResult", { instanceName: PLACE, actionDigest });
  await call(request, "ActionCache/GetActionResult", { instanceName: PLACE, actionDigest: wire(unknown.digest) }, 404);
}

async function call(request: APIRequestContext, method: string, data: unknown, status = 200): Promise<unknown> {
  const answer = await request.post(`${REAPI}.${method}`, { data });
  expect(answer.status(), `${method}: ${(await answer.text()).slice(0, 500)}`).toBe(status);
  return answer.json();
}

function wire({ hash, sizeBytes }: Blob["digest"]) {
  return { hash, sizeBytes: String(sizeBytes) };
}

function used(page: Page) {
  return page.getByRole("listitem").filter({ hasText: "Remote cache used" });
}

async function downloaded(page: Page, name: string, label = `Download ${name}`): Promise<Buffer> {
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: label, exact: true }).first().click()]);
  expect(file.suggestedFilename()).toBe(name);
  return readFile(await file.path());
}
