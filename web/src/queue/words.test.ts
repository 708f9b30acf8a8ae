import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it } from "vitest";
import { JobGroupSchema, PlatformQueueSchema, QueueSchema, WaitingGroupSchema } from "@/gen/millrace/v1/queue_pb";
import { jobWords, platformTitle, platformWords, queueWords, slotCount, slotsTaken, unmatchedWords, waitText } from "./words";

const NOW = 1_790_000_000_000;
const ago = (ms: number) => timestampFromMs(NOW - ms);
const platform = (init: MessageInitShape<typeof PlatformQueueSchema>) => create(PlatformQueueSchema, init);
const runner = (more: object = {}) => ({ name: "r", online: true, slots: 2, executing: 2, ...more });

it("says what no runner offers, and when it fails", () => {
  const mismatches = [{ platform: "linux", properties: [{ name: "OSFamily", requested: "windows", offered: ["linux"] }] }];
  expect(unmatchedWords(create(WaitingGroupSchema, { queued: 3n, oldestQueuedAt: ago(3_000), mismatches }), 10_000, NOW)).toBe("3 actions ask for OSFamily=windows; no runner offers it. The first fails in 7 s.");
  expect(unmatchedWords(create(WaitingGroupSchema, { queued: 1n, oldestQueuedAt: ago(30_000), mismatches }), 10_000, NOW)).toBe("1 action asks for OSFamily=windows; no runner offers it. It fails in a moment.");
  expect(unmatchedWords(create(WaitingGroupSchema, { queued: 2n, properties: [{ name: "pool", value: "x" }] }), 10_000, NOW)).toBe("2 actions ask for pool=x; no runner that runs actions is registered. The first fails in 10 s.");
});

it("says why what waits on a platform waits", () => {
  const waits = { queued: 5n, oldestQueuedAt: ago(130_000) };
  expect(platformWords(platform({ queued: 0n, runners: [runner()] }), NOW)).toBeUndefined();
  expect(platformWords(platform({ ...waits, runners: [runner(), runner()] }), NOW)).toBe("All 4 slots are busy; the oldest waits 2 min.");
  expect(platformWords(platform({ ...waits, runners: [runner({ slots: 1, executing: 1 })] }), NOW)).toBe("The only slot is busy; the oldest waits 2 min.");
  expect(platformWords(platform(waits), NOW)).toBe("No runner offers this: 5 actions wait until one is added; the oldest waits 2 min.");
  expect(platformWords(platform({ ...waits, runners: [runner({ online: false })] }), NOW)).toBe("The only runner is offline: 5 actions wait until one is back; the oldest waits 2 min.");
  expect(platformWords(platform({ ...waits, runners: [runner({ draining: true }), runner({ draining: true })] }), NOW)).toBe("Both runners that are online are draining: 5 actions wait until one is resumed; the oldest waits 2 min.");
  expect(platformWords(platform({ ...waits, runners: [runner({ executing: 1 })] }), NOW)).toBe("1 of 2 slots runs an action, jobs of pipelines may have the others; the oldest waits 2 min.");
  expect(platformWords(platform({ queued: 1n, oldestQueuedAt: ago(400), runners: [runner({ executing: 0 })] }), NOW)).toBe("Free slots are taking what waits; the oldest waits 0 s.");
});

it("calls what runners offer by their names", () => {
  const named = (...names: string[]) => platform({ name: "Arch=amd64, OSFamily=linux", runners: names.map((name) => runner({ name })) });
  expect(platformTitle(named("a"))).toBe("a");
  expect(platformTitle(named("a", "b", "c"))).toBe("a, b, c");
  expect(platformTitle(named("a", "b", "c", "d", "e"))).toBe("a, b and 3 more");
  expect(platformTitle(named())).toBe("Arch=amd64, OSFamily=linux");
  expect(platformTitle(platform({ name: "linux", configured: true, runners: [runner()] }))).toBe("linux");
});

it("says who could run jobs", () => {
  expect(jobWords(create(JobGroupSchema, { labels: ["windows"], queued: 2n }))).toBe("No runner serves this label: they wait until one is added.");
  expect(jobWords(create(JobGroupSchema, { labels: ["linux", "x"], queued: 1n, runners: ["a", "b"] }))).toBe("a, b could run it.");
});

it("says how the whole stands", () => {
  const queue = (init: MessageInitShape<typeof QueueSchema>) => create(QueueSchema, init);
  expect(queueWords(queue({}))).toBe("Nothing waits and nothing runs.");
  expect(queueWords(queue({ executing: 1n }))).toBe("Nothing waits: whatever comes is taken at once.");
  expect(queueWords(queue({ queued: 2n }))).toBe("2 actions wait for a free slot.");
  expect(queueWords(queue({ queued: 2n, unmatched: [{ queued: 1n }] }))).toBe("1 action finds no platform that satisfies it.");
  expect(slotCount(queue({ platforms: [{ runners: [runner(), runner({ draining: true }), runner({ online: false })] }] }))).toEqual({ busy: 2, all: 2 });
  expect(slotsTaken({ executing: 5, slots: 4 })).toEqual({ busy: 4, all: 4, ahead: 1 });
  expect(slotsTaken({ executing: 1, slots: 0 })).toEqual({ busy: 1, all: 1, ahead: 0 });
});

it("writes waits", () => {
  expect([400, 59_600, 119_000, 125_000, 8_000_000].map(waitText)).toEqual(["0 s", "60 s", "119 s", "2 min", "2 h"]);
});
