import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { LogRetentionSchema, LogSweepSchema } from "@/gen/millrace/v1/log_pb";
import { logIdIn, ratioText, recordsName, retentionLines, runOf, spanText, sweepParts } from "./words";

const DAY = 86_400n;

describe("spanText", () => {
  it.each([[90n * DAY, "90 days"], [DAY, "1 day"], [36n * 3600n, "36 hours"], [90n, "90 s"], [120n, "2 minutes"], [3n * DAY + 5n, "72 hours"]])("%s", (secs, words) => expect(spanText(secs)).toBe(words));
});

it("says how long logs are kept", () => {
  const plain = (lines: string[]) => lines.map((line) => line.replaceAll("\u202f", " "));
  expect(plain(retentionLines(undefined, 0n))).toEqual(["Logs are kept for ever.", "Records of named logs are kept for ever; the oldest go first."]);
  expect(plain(retentionLines(create(LogRetentionSchema, { ageSeconds: 90n * DAY, count: 1000n, namedLogBytes: 1n << 30n, abandonedSeconds: 7n * DAY }), 4n << 30n))).toEqual([
    "Logs are kept 90 days after their end, the newest 1 000 runs, builds and streams of each project.",
    "Records of named logs are kept at most 1 GiB a log; the oldest go first.",
    "A log that nobody ends is ended 7 days after its last line.",
    "One log takes up to 4 GiB; what comes then is dropped, and a line of the log says so.",
  ]);
});

it("says what a sweep did", () => {
  expect(sweepParts(create(LogSweepSchema, {}))).toEqual([]);
  expect(sweepParts(create(LogSweepSchema, { removedForAge: 12n, removedRecords: 1n, endedLogs: 2n }))).toEqual(["12 logs removed for age", "1 record removed", "2 abandoned logs ended"]);
});

describe("ids", () => {
  it.each([
    [" r.0123456789abcdef.a ", "r.0123456789abcdef.a"],
    ["http://h:1/logs/x%20y.1?l=5", "x y.1"],
    ["/logs/x.1/raw", "x.1"],
    ["%E0%A4%A", "%E0%A4%A"],
    ["", ""],
  ])("in %s", (text, id) => expect(logIdIn(text)).toBe(id));

  it("say what a log is of", () => {
    expect(recordsName("r.0123456789abcdef.events")).toBe("events");
    expect(recordsName("r.0123.events")).toBeUndefined();
    expect(runOf("01234567-89ab-cdef-0123-456789abcdef.0.1.0.1.0")).toBe("01234567-89ab-cdef-0123-456789abcdef");
    expect(runOf("b.x.1")).toBeUndefined();
  });
});

it("says how much smaller", () => expect([ratioText(100n, 10n), ratioText(83n, 10n), ratioText(0n, 10n), ratioText(5n, 0n)]).toEqual(["10 ×", "8.3 ×", "", ""]));
