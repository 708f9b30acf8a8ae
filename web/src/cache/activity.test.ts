import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { CacheActivitySchema } from "@/gen/millrace/v1/cache_pb";
import { columns, hitRate, isUsed, rateText, summary } from "./activity";

const step = (minute: number, actionHits: number, actionMisses: number, keyHits = 0, keyMisses = 0) =>
  create(CacheActivitySchema, { startTime: { seconds: BigInt(minute * 60) }, actionHits: BigInt(actionHits), actionMisses: BigInt(actionMisses), keyHits: BigInt(keyHits), keyMisses: BigInt(keyMisses) });

it("actions and keys count alike", () => {
  expect(hitRate(step(0, 1, 1, 2, 0))).toBe(0.75);
  expect(hitRate(step(0, 0, 3))).toBe(0);
  expect(hitRate(step(0, 0, 0))).toBeUndefined();
  expect(hitRate(undefined)).toBeUndefined();
});

it.each([
  [undefined, "–"],
  [0, "0 %"],
  [1, "100 %"],
  [0.834, "83 %"],
  [0.9999, "99.9 %"],
  [0.995, "99.5 %"],
  [0.0001, "0.1 %"],
])("a rate of %s is %s", (rate, text) => expect(rateText(rate)).toBe(text));

it("a step without lookups is a hole in the line, not a zero", () => {
  expect(columns([step(1, 3, 1), step(2, 0, 0), step(3, 0, 2)])).toEqual({ times: [60, 120, 180], rates: [75, null, 0], found: [3, 0, 0], asked: [4, 0, 2] });
});

it("says the plot in a sentence", () => {
  const steps = [step(1, 3, 1), step(2, 0, 0), step(3, 1, 1)];
  expect(summary(steps, step(1, 4, 2), "the last hour")).toBe("Hit rate in the last hour: 67 %, between 50 % and 75 %; 4 of 6 lookups found something.");
  expect(summary([step(1, 0, 0)], step(1, 0, 0), "the last hour")).toBe("Nothing was asked of the cache in the last hour.");
  expect(summary([step(1, 1, 0)], step(1, 1, 0), "the last hour")).toBe("Hit rate in the last hour: 100 %; 1 of 1 lookups found something.");
});

it("is used once anything went through", () => {
  expect(isUsed(undefined)).toBe(false);
  expect(isUsed(step(0, 0, 0))).toBe(false);
  expect(isUsed(step(0, 0, 1))).toBe(true);
  expect(isUsed(create(CacheActivitySchema, { bytesWritten: 5n }))).toBe(true);
});
