// A build that tells of itself, as Bazel does, with an action that is executed here: its page, live and afterwards.
// MILLRACE_URL says where the server is; it needs a runner that runs actions.
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "@playwright/test";
import { TestStatus } from "../../src/gen/build_event_stream/build_event_stream_pb.js";
import { look, watchProblems } from "./pages.js";
import { blob, BuildTool, type Event } from "./remote.js";

const CONFIG = "0f1e2d3c4b5a";
const GOOD = "//mill:wheel";
const TEST = "//mill:wheel_test";
const BROKEN = "//docs:all";

test("a build's page: targets, tests, log, cache, timing, executions", async ({ page }) => {
  const problems = watchProblems(page);
  const tool = new BuildTool(process.env.MILLRACE_URL ?? "");
  const id = crypto.randomUUID();
  const log = blob("Executing tests\n-----\nthe third wheel is stuck\n");
  await tool.store(log);
  const uri = `bytestream://localhost/blobs/${log.digest.hash}/${log.digest.sizeBytes}`;
  const began = Date.now();
  const build = tool.build(id);
  const configured = (label: string, targetKind: string): Event => ({ id: { id: { case: "targetConfigured", value: { label } } }, children: [{ id: { case: "targetCompleted", value: { label, configuration: { id: CONFIG } } } }], payload: { case: "configured", value: { targetKind } } });
  const completed = (label: string, success: boolean): Event => ({ id: { id: { case: "targetCompleted", value: { label, configuration: { id: CONFIG } } } }, payload: { case: "completed", value: { success } } });
  let printed = 0;
  const progress = (stderr: string): Event => ({ id: { id: { case: "progress", value: { opaqueCount: (printed += 1) } } }, payload: { case: "progress", value: { stderr } } });

  build.tell(
    { id: { id: { case: "started", value: {} } }, payload: { case: "started", value: { uuid: id, startTime: timestampFromMs(began), buildToolVersion: "4.2.3", command: "test", workspaceDirectory: "/home/ada/mill" } } },
    { id: { id: { case: "pattern", value: { pattern: ["//..."] } } }, payload: { case: "expanded", value: {} } },
    { id: { id: { case: "workspaceStatus", value: {} } }, payload: { case: "workspaceStatus", value: { item: [{ key: "BUILD_USER", value: "ada" }, { key: "BUILD_HOST", value: "mill-3" }] } } },
    { id: { id: { case: "configuration", value: { id: CONFIG } } }, payload: { case: "configuration", value: { mnemonic: "k8-fastbuild", platformName: "k8", cpu: "k8" } } },
    configured(GOOD, "cc_library rule"),
    configured(TEST, "cc_test rule"),
    configured(BROKEN, "genrule rule"),
    progress("\u001b[32mINFO: \u001b[0mAnalyzed 3 targets\n"),
  );
  await page.goto("/invocations");
  await page.getByRole("list", { name: "Invocations, newest first" }).getByRole("link", { name: /bazel test/ }).first().click();
  await expect(page.getByTestId("status")).toHaveText("Running");
  const parts = page.getByRole("navigation", { name: "Parts of the invocation" });
  await expect(page.getByRole("list", { name: "Targets" })).toContainText(TEST);
  await parts.getByRole("link", { name: "Log", exact: true }).click();
  await expect(page.getByTestId("log").getByText("Analyzed 3 targets")).toBeVisible();
  build.tell(progress("[1 / 3] Compiling mill/wheel.c\n"));
  await expect(page.getByTestId("log").getByText("[1 / 3] Compiling mill/wheel.c")).toBeVisible();

  await tool.execute(await tool.action({ script: "echo compiled" }), { invocationId: id, mnemonic: "CppCompile", target: GOOD });
  build.tell(
    completed(GOOD, true),
    { id: { id: { case: "actionCompleted", value: { label: BROKEN, primaryOutput: "bazel-out/docs.html", configuration: { id: CONFIG } } } }, payload: { case: "action", value: { success: false, type: "Genrule", exitCode: 1, commandLine: ["/bin/bash", "-c", "make docs"] } } },
    completed(BROKEN, false),
    completed(TEST, true),
    ...[1, 2].map(
      (shard): Event => ({
        id: { id: { case: "testResult", value: { label: TEST, configuration: { id: CONFIG }, run: 1, shard, attempt: 1 } } },
        payload: { case: "testResult", value: { status: shard === 1 ? TestStatus.PASSED : TestStatus.FAILED, testAttemptStart: timestampFromMs(Date.now()), testAttemptDuration: { nanos: 800_000_000 }, testActionOutput: [{ name: "test.log", file: { case: "uri", value: uri } }], executionInfo: { strategy: "remote", exitCode: shard === 1 ? 0 : 3 } } },
      }),
    ),
    { id: { id: { case: "testSummary", value: { label: TEST, configuration: { id: CONFIG } } } }, payload: { case: "testSummary", value: { overallStatus: TestStatus.FAILED, totalRunCount: 2, runCount: 1, attemptCount: 1, shardCount: 2, totalRunDuration: { seconds: 1n, nanos: 600_000_000 } } } },
    progress("FAIL: //mill:wheel_test\n"),
    { id: { id: { case: "buildFinished", value: {} } }, payload: { case: "finished", value: { exitCode: { name: "BUILD_FAILURE", code: 1 }, finishTime: timestampFromMs(began + 4_000) } } },
    {
      id: { id: { case: "buildMetrics", value: {} } },
      payload: { case: "buildMetrics", value: { actionSummary: { actionsCreated: 12n, actionsExecuted: 8n, remoteCacheHits: 6n, actionData: [{ mnemonic: "CppCompile", actionsExecuted: 5n }], runnerCount: [{ name: "total", count: 8 }, { name: "remote cache hit", count: 6 }, { name: "remote", count: 2 }], actionCacheStatistics: { hits: 4, misses: 8 } }, timingMetrics: { wallTimeInMs: 4_000n, cpuTimeInMs: 900n, analysisPhaseTimeInMs: 700n, executionPhaseTimeInMs: 3_100n } } },
    },
    { id: { id: { case: "buildToolLogs", value: {} } }, lastMessage: true, payload: { case: "buildToolLogs", value: { log: [{ name: "critical path", file: { case: "contents", value: new TextEncoder().encode("Critical Path: 2.40s\n  1.40s action 'Testing //mill:wheel_test'\n  1.00s action 'Compiling mill/wheel.c'") } }] } } },
  );
  await build.finish();

  await expect(page.getByTestId("status")).toHaveText("Failed", { timeout: 20_000 });
  await expect(page.getByTestId("log").getByText("FAIL: //mill:wheel_test")).toBeVisible();
  await look(page, "invocation-log");
  await parts.getByRole("link", { name: /^Targets/ }).click();
  const targets = page.getByRole("list", { name: "Targets", exact: true });
  await expect(targets.getByRole("button", { name: new RegExp(BROKEN) })).toContainText("Not built");
  await expect(targets.getByRole("button", { name: new RegExp(`${GOOD} `) })).toContainText("Built");
  await look(page, "invocation-targets");
  await parts.getByRole("link", { name: /^Tests/ }).click();
  await page.getByRole("button", { name: new RegExp(TEST) }).click();
  const attempts = page.getByRole("list", { name: `Attempts at ${TEST}` });
  await expect(attempts.getByText(/shard 2 of 2, attempt 1/)).toBeVisible();
  await attempts.getByRole("button", { name: "Show" }).last().click();
  await expect(page.getByText("the third wheel is stuck")).toBeVisible();
  await look(page, "invocation-tests");
  await parts.getByRole("link", { name: "Cache" }).click();
  await expect(page.getByText("6 of 8 actions")).toBeVisible();
  await look(page, "invocation-cache");
  await parts.getByRole("link", { name: "Timing" }).click();
  await expect(page.getByRole("list", { name: "Critical path" })).toContainText("Testing //mill:wheel_test");
  await look(page, "invocation-timing");
  await parts.getByRole("link", { name: "Executions" }).click();
  await expect(page.getByRole("list", { name: "Executions of this build, newest first" })).toContainText("CppCompile //mill:wheel");
  await parts.getByRole("link", { name: "Details" }).click();
  await expect(page.getByText("BUILD_USER")).toBeVisible();
  await look(page, "invocation-details");
  expect(problems).toEqual([]);
});
