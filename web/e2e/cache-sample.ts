// A cache that a week of builds went through: actions with all their pieces, and some that miss pieces.
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ActionSchema, CommandSchema, DirectorySchema, TreeSchema, type Directory } from "../src/gen/build/bazel/remote/execution/v2/remote_execution_pb.js";
import { CacheAction_Event as Event } from "../src/gen/millrace/v1/cache_pb.js";
import { create } from "@bufbuild/protobuf";
import type { FakeCache, FakeDigest } from "./fake-cache.js";

export const OBJECT = new Uint8Array(3_000).map((_, index) => (index * 7) % 251);
export const HEADER_TEXT = "#pragma once\nint turn(int wheel);\n";
export const LONG_TEXT = Array.from({ length: 9_000 }, (_, index) => `line ${index + 1} of the long report\n`).join("");
export const PLACE = "acme/mill";

export interface Sample {
  full: FakeDigest;
  bare: FakeDigest;
  lost: FakeDigest;
  inputs: FakeDigest;
  report: FakeDigest;
}

export function fillCache(cache: FakeCache): Sample {
  const now = Date.now();
  cache.usage = { blobs: 48_213n, entries: 9_120n, storedBytes: 6_811_222_333n, limitBytes: 10n * 1024n ** 3n, evicted: 1_204n, evictedBytes: 734_003_200n, corrupt: 1n, instances: ["", PLACE, "acme/paper"] };
  cache.activity = (ago, seconds) => {
    const builds = (seconds / 60) * (ago % 7 < 5 ? 1 : 0);
    if (builds === 0 || ago % 11 === 3) return undefined;
    const asked = builds * (40 + ((ago * 37) % 60));
    const rate = 0.55 + 0.4 * Math.abs(Math.sin(ago / 9));
    return { actionHits: asked * rate, actionMisses: asked * (1 - rate), actionUpdates: asked * (1 - rate), blobsPresent: asked * 9, blobsMissing: asked, bytesRead: asked * 81_920, bytesWritten: asked * 20_480, savedMs: asked * rate * 1_350, keyHits: builds, keyMisses: builds / 4 };
  };
  const inner = PLACE;
  const object = cache.put(OBJECT, inner);
  const header = cache.put(HEADER_TEXT, inner);
  const report = cache.put(LONG_TEXT, inner);
  const deep: Directory = create(DirectorySchema, { files: [{ name: "wheel.h", digest: header }] });
  const deepDigest = cache.message(DirectorySchema, deep, inner);
  const include = create(DirectorySchema, { directories: [{ name: "mill", digest: deepDigest }], symlinks: [{ name: "current", target: "mill" }] });
  const includeDigest = cache.message(DirectorySchema, include, inner);
  const root = create(DirectorySchema, { directories: [{ name: "include", digest: includeDigest }, { name: "lost", digest: { hash: "ab".repeat(32), sizeBytes: 9n } }], files: [{ name: "libwheel.a", digest: object, isExecutable: true }] });
  const tree = cache.message(TreeSchema, { root, children: [deep, include] }, inner);
  const inputs = cache.message(DirectorySchema, { directories: [{ name: "include", digest: includeDigest }, { name: "gone", digest: { hash: "cd".repeat(32), sizeBytes: 12n } }], files: [{ name: "wheel.c", digest: header }] }, inner);
  const command = cache.message(CommandSchema, { arguments: ["/usr/bin/gcc", "-c", "src/wheel file.c", "-DNAME=\"it's\"", "-o", "bazel-out/k8-fastbuild/bin/src/wheel.o"], environmentVariables: [{ name: "PATH", value: "/usr/bin:/bin" }, { name: "PWD", value: "/proc/self/cwd" }], outputPaths: ["bazel-out/k8-fastbuild/bin/src/wheel.o", "bazel-out/k8-fastbuild/bin/lib"], workingDirectory: "work" }, inner);
  const full = cache.message(ActionSchema, { commandDigest: command, inputRootDigest: inputs, timeout: { seconds: 900n }, platform: { properties: [{ name: "OSFamily", value: "linux" }, { name: "container-image", value: "docker://debian:12" }] } }, inner);
  const at = (ms: number) => timestampFromMs(now - 60_000 + ms);
  cache.result(
    full,
    {
      exitCode: 0,
      outputFiles: [
        { path: "bazel-out/k8-fastbuild/bin/src/wheel.o", digest: object, isExecutable: true },
        { path: "bazel-out/k8-fastbuild/bin/src/report.txt", digest: report },
      ],
      outputDirectories: [
        { path: "bazel-out/k8-fastbuild/bin/lib", treeDigest: tree },
        { path: "bazel-out/k8-fastbuild/bin/gone", treeDigest: { hash: "ef".repeat(32), sizeBytes: 40n } },
      ],
      outputSymlinks: [{ path: "bazel-out/k8-fastbuild/bin/latest", target: "lib" }],
      stdoutRaw: new TextEncoder().encode("\u001b[32mcompiled\u001b[0m wheel.c\n"),
      stderrDigest: cache.put("warning: <script>alert(1)</script> the river is low\n", inner),
      executionMetadata: { worker: "linux-7", queuedTimestamp: at(0), workerStartTimestamp: at(300), inputFetchStartTimestamp: at(310), inputFetchCompletedTimestamp: at(720), executionStartTimestamp: at(730), executionCompletedTimestamp: at(2_930), outputUploadStartTimestamp: at(2_940), outputUploadCompletedTimestamp: at(3_100), workerCompletedTimestamp: at(3_110) },
    },
    inner,
  );
  const bare = { hash: "12".repeat(32), sizeBytes: 142n };
  cache.result(bare, { exitCode: 3 });
  const lost = { hash: "34".repeat(32), sizeBytes: 140n };
  cache.seen(full, { instance: inner, mnemonic: "CppCompile", target: "//src:wheel", outputs: 5, executedMs: 2_200n, time: timestampFromMs(now - 20_000) });
  cache.seen(lost, { instance: inner, mnemonic: "CppLink", target: "//src:a-target-with-a-name-that-is-rather-long-for-the-column-it-stands-in", event: Event.MISS, time: timestampFromMs(now - 25_000) });
  cache.seen(bare, { event: Event.STORED, exitCode: 3, sizeBytes: 0n, time: timestampFromMs(now - 3_900_000) });
  return { full, bare, lost, inputs, report };
}
