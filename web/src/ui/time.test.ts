import { expect, it } from "vitest";
import { agoText, durationText } from "./time";

it.each([
  [-5, "0 s"],
  [12, "12 ms"],
  [1_500, "1.5 s"],
  [59_999, "59 s"],
  [65_000, "1 m 05 s"],
  [3_723_000, "1 h 02 m"],
])("%d ms took %s", (ms, text) => expect(durationText(ms)).toBe(text));

it.each([
  [0, "just now"],
  [42_000, "42 s ago"],
  [120_000, "2 min ago"],
  [7_200_000, "2 h ago"],
  [86_400_000, "1 day ago"],
  [250_000_000, "2 days ago"],
])("%d ms is %s", (ms, text) => expect(agoText(ms)).toBe(text));
