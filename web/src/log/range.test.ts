import { expect, it } from "vitest";
import { clickLines, formatLines, parseLines } from "./range";

it.each([
  ["120", { first: 120, last: 120 }],
  ["120-180", { first: 120, last: 180 }],
  ["180-120", { first: 120, last: 180 }],
  ["0", undefined],
  ["-5", undefined],
  ["5-", undefined],
  ["abc", undefined],
  ["1-99999999999999", undefined],
  [undefined, undefined],
])("reads %j", (text, lines) => {
  expect(parseLines(text)).toEqual(lines);
});

it("writes what it reads", () => {
  for (const text of ["1", "7-9"]) expect(formatLines(parseLines(text) ?? { first: 0, last: 0 })).toBe(text);
});

it("a click selects a line, with shift a range", () => {
  expect(clickLines(5, false, { first: 1, last: 2 })).toEqual({ first: 5, last: 5 });
  expect(clickLines(5, true, undefined)).toEqual({ first: 5, last: 5 });
  expect(clickLines(9, true, { first: 5, last: 5 })).toEqual({ first: 5, last: 9 });
  expect(clickLines(2, true, { first: 5, last: 9 })).toEqual({ first: 2, last: 9 });
  expect(clickLines(7, true, { first: 5, last: 9 })).toEqual({ first: 5, last: 7 });
});
