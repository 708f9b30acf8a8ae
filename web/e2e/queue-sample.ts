// A queue in trouble: a platform that is full, one whose runners are gone, actions that nobody can run; executions in every
// stage, and builds that ended in every way.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { InvocationStatus, TargetStatus } from "../src/gen/millrace/v1/invocation_pb.js";
import { ExecutionStage as Stage, QueueSchema } from "../src/gen/millrace/v1/queue_pb.js";
import type { FakeCache, FakeDigest } from "./fake-cache.js";
import { FakeLog } from "./fake-log.js";
import type { FakeQueue } from "./fake-queue.js";

export const BUILD = "6f0d7a52-1111-4222-8333-0123456789ab";
export const RUNNING = "aaaaaaaa-0000-4000-8000-000000000001";
export const WAITING = "aaaaaaaa-0000-4000-8000-000000000002";
export const FAILED = "aaaaaaaa-0000-4000-8000-000000000003";

export function fillQueue(fake: FakeQueue, cache: FakeCache, logs: Map<string, FakeLog>, action: FakeDigest, instance: string): void {
  const now = Date.now();
  const ago = (ms: number) => timestampFromMs(now - ms);
  const linux = [
    { name: "Arch", value: "amd64" },
    { name: "OSFamily", value: "linux" },
    { name: "container-image", value: "*" },
    { name: "memory-gb", value: "max-16" },
  ];
  const mac = [
    { name: "Arch", value: "arm64" },
    { name: "OSFamily", value: "darwin" },
  ];
  fake.queue = create(QueueSchema, {
    time: ago(0),
    queued: 1_215n,
    executing: 4n,
    finishedLastMinute: 812n,
    cachedLastMinute: 2_409n,
    unmatchedWaitMs: 10_000n,
    platforms: [
      {
        name: "linux-large",
        configured: true,
        properties: linux,
        queued: 1_204n,
        executing: 4n,
        oldestQueuedAt: ago(125_000),
        runners: [
          { uuid: "r-1", name: "linux-7", online: true, slots: 2, executing: 2 },
          { uuid: "r-2", name: "linux-8-with-a-name-that-is-rather-long-for-its-column", online: true, slots: 2, executing: 2 },
          { uuid: "r-3", name: "linux-9", online: true, draining: true, slots: 4, executing: 1 },
        ],
        waiting: [
          { properties: linux.slice(0, 2), queued: 1_200n, oldestQueuedAt: ago(125_000) },
          { properties: [], queued: 4n, oldestQueuedAt: ago(3_000) },
        ],
      },
      { name: "Arch=arm64,OSFamily=darwin", properties: mac, queued: 8n, oldestQueuedAt: ago(4_000_000), runners: [{ uuid: "r-4", name: "mac-3", online: false, slots: 1 }], waiting: [{ properties: mac, queued: 8n, oldestQueuedAt: ago(4_000_000) }] },
    ],
    unmatched: [
      {
        properties: [
          { name: "Arch", value: "amd64" },
          { name: "OSFamily", value: "windows" },
          { name: "gpu", value: "1" },
        ],
        queued: 3n,
        oldestQueuedAt: ago(1_000),
        mismatches: [
          {
            platform: "linux-large",
            properties: [
              { name: "OSFamily", requested: "windows", offered: ["linux"] },
              { name: "gpu", requested: "1", offered: [] },
            ],
          },
          {
            platform: "Arch=arm64,OSFamily=darwin",
            properties: [
              { name: "Arch", requested: "amd64", offered: ["arm64"] },
              { name: "OSFamily", requested: "windows", offered: ["darwin"] },
              { name: "gpu", requested: "1", offered: [] },
            ],
          },
        ],
      },
    ],
    jobs: [
      { labels: ["linux", "self-hosted"], queued: 2n, runners: ["linux-7"] },
      { labels: ["windows"], queued: 1n, runners: [] },
    ],
  });
  const base = { instance, actionHash: action.hash, actionSizeBytes: action.sizeBytes, platform: "linux-large", properties: linux.slice(0, 2), invocationId: BUILD, mnemonic: "CppCompile", target: "//src:wheel", command: "/usr/bin/gcc -c 'src/wheel file.c' -o bazel-out/k8-fastbuild/bin/src/wheel.o" };
  fake.execution({ ...base, id: RUNNING, stage: Stage.EXECUTING, operations: [`${instance}/operations/op-1`, `${instance}/operations/op-2`], runnerUuid: "r-1", runnerName: "linux-7", queuedAt: ago(9_000), claimedAt: ago(7_500), startedAt: ago(7_000), stdoutLogId: "exec.stdout", stderrLogId: "exec.stderr", inputFetchedBytes: 40_960n, inputCachedBytes: 8_388_608n, lost: 1 });
  fake.execution({ ...base, id: WAITING, actionHash: "77".repeat(32), stage: Stage.QUEUED, target: "//src:mill-with-a-name-that-goes-on-for-longer-than-a-row-of-this-list-has-room", priority: 5, operations: ["operations/op-3"], queuedAt: ago(130_000), message: "" });
  fake.execution({ ...base, id: FAILED, actionHash: "88".repeat(32), stage: Stage.DONE, mnemonic: "TestRunner", target: "//src:wheel_test", operations: ["operations/op-4"], runnerUuid: "r-1", runnerName: "linux-7", queuedAt: ago(300_000), claimedAt: ago(299_000), startedAt: ago(298_000), finishedAt: ago(290_000), exitCode: 3, stdoutLogId: "gone.stdout" });
  fake.execution({ ...base, id: "aaaaaaaa-0000-4000-8000-000000000004", actionHash: "99".repeat(32), stage: Stage.INPUT_FETCH, mnemonic: "Genrule", target: "//docs:all", operations: ["operations/op-5"], runnerName: "linux-8", queuedAt: ago(2_000), claimedAt: ago(1_000) });
  fake.execution({ ...base, id: "aaaaaaaa-0000-4000-8000-000000000005", actionHash: "66".repeat(32), stage: Stage.QUEUED, platform: "", mnemonic: "", target: "", command: "cl.exe /c wheel.c", operations: ["operations/op-6"], queuedAt: ago(1_000), message: "no platform offers OSFamily=windows" });
  const at = (ms: number) => timestampFromMs(now - 300_000 + ms);
  fake.responses.set("operations/op-4", {
    result: {
      exitCode: 3,
      stdoutRaw: new TextEncoder().encode("1 of 3 wheels turned\n"),
      stderrDigest: cache.put("the third wheel is stuck\n", instance),
      outputFiles: [{ path: "test.xml", digest: cache.put("<testsuites/>\n", instance) }],
      executionMetadata: { worker: "linux-7", queuedTimestamp: at(0), workerStartTimestamp: at(1_000), inputFetchStartTimestamp: at(1_010), inputFetchCompletedTimestamp: at(1_900), executionStartTimestamp: at(2_000), executionCompletedTimestamp: at(9_000), outputUploadStartTimestamp: at(9_010), outputUploadCompletedTimestamp: at(9_800) },
    },
  });
  logs.set("exec.stdout", new FakeLog(40, false));
  logs.set("exec.stderr", new FakeLog(2, false, new Map([[1, { text: "warning: the river is low", kind: 0, stderr: true }]])));
  fillInvocations(fake, cache, logs, instance, now);
}

function fillInvocations(fake: FakeQueue, cache: FakeCache, logs: Map<string, FakeLog>, instance: string, now: number): void {
  const ago = (ms: number) => timestampFromMs(now - ms);
  const file = (name: string, text: string) => {
    const { hash, sizeBytes } = cache.put(text, instance);
    return { name, uri: `bytestream://mill/${instance}/blobs/${hash}/${sizeBytes}`, instance, digestFunction: "sha256", hash, sizeBytes };
  };
  const testLog = file("test.log", "Executing tests\n-----\nthe third wheel is stuck\n");
  const common = { instance, tool: "bazel 4.2.3", user: "ada", host: "mill-3", workspaceDirectory: "/home/ada/mill", buildId: "b0000000-1111-4222-8333-0123456789ab" };
  fake.invocation(
    {
      ...common,
      id: BUILD,
      status: InvocationStatus.FAILED,
      command: "test",
      patterns: ["//src/...", "//docs:all"],
      exitCode: 3,
      exitCodeName: "TESTS_FAILED",
      startedAt: ago(320_000),
      finishedAt: ago(280_000),
      complete: true,
      updatedAt: ago(280_000),
      events: 1_204n,
      targets: { configured: 5n, built: 4n, failed: 1n },
      tests: { total: 2n, passed: 1n, failed: 1n, cached: 1n },
      cache: { actionsCreated: 240n, actionsExecuted: 200n, remoteCacheHits: 150n, localCacheHits: 30n, localCacheMisses: 210n, outputs: 412n, outputsBytes: 81_000_000n, runners: [{ name: "total", count: 200n }, { name: "remote cache hit", count: 150n }, { name: "remote", count: 38n }, { name: "internal", count: 12n }] },
      timing: { wallMs: 40_000n, cpuMs: 9_100n, analysisMs: 6_200n, actionsStartMs: 7_000n, executionMs: 31_000n, criticalPathMs: 22_400n, criticalPath: [{ durationMs: 8_000n, description: "action 'Testing //src:wheel_test'" }, { durationMs: 9_400n, description: "action 'Linking src/wheel_test'" }, { durationMs: 5_000n, description: "action 'Compiling src/wheel.c'" }] },
      logId: "b.build",
      commandLine: ["bazel", "test", "--bes_backend=grpc://mill:8080", "//src/...", "//docs:all"],
      canonicalCommandLine: ["bazel", "test", "--bes_backend=grpc://mill:8080", "--remote_executor=grpc://mill:8080", "--", "//src/...", "//docs:all"],
      explicitOptions: ["--bes_backend=grpc://mill:8080"],
      workspaceStatus: [{ key: "BUILD_USER", value: "ada" }, { key: "BUILD_HOST", value: "mill-3" }],
      metadata: [{ key: "BRANCH", value: "main" }],
      configurations: [{ id: "0f1e2d3c4b5a", mnemonic: "k8-fastbuild", platform: "k8", cpu: "k8" }],
      failedActions: [{ label: "//docs:all", mnemonic: "Genrule", exitCode: 1, message: "the genrule failed: (Exit 1): bash failed", commandLine: ["/bin/bash", "-c", "make docs"], stderr: { name: "stderr", text: "make: *** No rule to make target 'docs'.  Stop.\n" } }],
      mnemonics: [{ mnemonic: "CppCompile", executed: 150n, created: 180n, systemMs: 2_000n, userMs: 30_000n, spanMs: 20_000n }, { mnemonic: "TestRunner", executed: 2n, created: 2n }],
      toolLogs: [{ name: "elapsed time", text: "40.000000" }, file("command.profile.gz", "profile")],
      truncated: ["3 targets were left out: a page lists 100 000"],
    },
    [
      { label: "//docs:all", kind: "genrule rule", configuration: "0f1e2d3c4b5a", status: TargetStatus.FAILED_TO_BUILD, message: "the genrule failed" },
      {
        label: "//src:wheel_test",
        kind: "cc_test rule",
        configuration: "0f1e2d3c4b5a",
        status: TargetStatus.FAILED,
        tags: ["slow"],
        testSize: "SMALL",
        outputs: [file("src/wheel_test", "elf")],
        outputsTotal: 1n,
        test: {
          runs: 1,
          shards: 2,
          durationMs: 9_200n,
          attempts: [
            { shard: 1, attempt: 1, status: TargetStatus.PASSED, durationMs: 1_200n, strategy: "remote", startedAt: ago(300_000), outputs: [testLog] },
            { shard: 2, attempt: 1, status: TargetStatus.FAILED, durationMs: 4_000n, strategy: "remote", exitCode: 3, message: "the third wheel is stuck", startedAt: ago(300_000), outputs: [testLog, file("test.xml", "<testsuites/>\n")] },
            { shard: 2, attempt: 2, status: TargetStatus.FAILED, durationMs: 4_000n, strategy: "remote", exitCode: 3, startedAt: ago(295_000), outputs: [testLog] },
          ],
        },
      },
      { label: "//src:mill", kind: "cc_binary rule", configuration: "0f1e2d3c4b5a", status: TargetStatus.BUILT, outputs: [file("src/mill", "elf two")], outputsTotal: 1n },
      { label: "//src:river_test", kind: "cc_test rule", configuration: "0f1e2d3c4b5a", status: TargetStatus.PASSED, test: { runs: 1, shards: 1, durationMs: 800n, cached: 1, attempts: [{ attempt: 1, status: TargetStatus.PASSED, durationMs: 800n, cachedRemotely: true, outputs: [testLog] }] } },
      { label: "//src:wheel", kind: "cc_library rule", configuration: "0f1e2d3c4b5a", status: TargetStatus.BUILT, outputs: [{ name: "src/libwheel.a", uri: "file:///home/ada/mill/bazel-out/src/libwheel.a" }], outputsTotal: 1n },
    ],
  );
  fake.invocation({ ...common, id: "live-build", status: InvocationStatus.RUNNING, command: "build", patterns: ["//..."], user: "grace", startedAt: ago(8_000), updatedAt: ago(500), targets: { configured: 1n }, logId: "b.live" }, [{ label: "//src:mill", kind: "cc_binary rule", status: TargetStatus.PENDING }]);
  fake.invocation({ ...common, id: "cut-build", status: InvocationStatus.DISCONNECTED, command: "build", patterns: ["//src:mill"], startedAt: ago(900_000), updatedAt: ago(890_000) });
  fake.invocation({ ...common, id: "good-build", status: InvocationStatus.SUCCEEDED, command: "build", patterns: ["//src:mill"], startedAt: ago(8_000_000), finishedAt: ago(7_990_000), complete: true, exitCode: 0, targets: { configured: 1n, built: 1n } });
  fake.invocation({ ...common, id: "stopped-build", status: InvocationStatus.INTERRUPTED, command: "query", patterns: ["deps(//src:mill)"], startedAt: ago(9_000_000), finishedAt: ago(8_990_000), complete: true, exitCode: 8, exitCodeName: "INTERRUPTED" });
  logs.set("b.build", new FakeLog(200, true, new Map([[3, { text: "\u001b[31m\u001b[1mFAIL: \u001b[0m//src:wheel_test (shard 2 of 2)", kind: 0 }]])));
  logs.set("b.live", new FakeLog(12, false));
}
