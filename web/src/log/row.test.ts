import { expect, it } from "vitest";
import { FLAG_JOINED, KIND_ERROR, KIND_GROUP, KIND_NONE, lineText, makeRow, ROW_MAX_BYTES, rowText } from "./row";

const bytes = (text: string) => new TextEncoder().encode(text);

it.each([
  ["a line end goes", "hello\n", 0, "hello", KIND_NONE],
  ["a Windows line end goes", "hello\r\n", 0, "hello", KIND_NONE],
  ["the flags say what it is", "##[error]broken\n", KIND_ERROR << 4, "broken", KIND_ERROR],
  ["the prefix says it too", "##[group]Build\n", 0, "Build", KIND_GROUP],
  ["flags without a prefix", "broken\n", KIND_ERROR << 4, "broken", KIND_ERROR],
  ["an unknown command is text", "##[what]x\n", 0, "##[what]x", KIND_NONE],
  ["a command in the middle is text", "a ##[error]x\n", 0, "a ##[error]x", KIND_NONE],
])("%s", (_name, line, flags, text, kind) => {
  const row = makeRow(3, bytes(line), 5, flags);
  expect([rowText(row), row.kind, row.line, row.time]).toEqual([text, kind, 3, 5]);
});

it("says how much of a long line is not shown", () => {
  const row = makeRow(0, bytes("x".repeat(ROW_MAX_BYTES + 100)), 0, 0);
  expect(row.cutBytes).toBe(100);
  expect(rowText(row)).toHaveLength(ROW_MAX_BYTES);
});

it("replaces what is no UTF-8", () => {
  expect(rowText(makeRow(0, new Uint8Array([0x61, 0xff, 0x62]), 0, 0))).toBe("a\ufffdb");
});

it("copies whole lines as they are read", () => {
  expect(lineText(bytes(`##[error]\x1b[31m${"x".repeat(ROW_MAX_BYTES + 1)}\x1b[0m\n`))).toBe("x".repeat(ROW_MAX_BYTES + 1));
});

it("knows what places in the sent text mean in the shown one", () => {
  expect(makeRow(0, bytes("##[error]\x1b[31mbroken\n"), 0, 0)).toMatchObject({ lead: 9, units: 0, rewritten: false });
  expect(makeRow(0, bytes("##[error]\x1b[31mbroken\n"), 0, FLAG_JOINED)).toMatchObject({ lead: 9, units: 15 });
  expect(makeRow(0, bytes(`${"é".repeat(ROW_MAX_BYTES)}\n`), 0, FLAG_JOINED)).toMatchObject({ units: ROW_MAX_BYTES, cutBytes: ROW_MAX_BYTES });
  expect(makeRow(0, bytes("10 %\r20 %\r\n"), 0, 0)).toMatchObject({ rewritten: true });
  expect(makeRow(0, bytes("plain\r\n"), 0, 0)).toMatchObject({ rewritten: false });
});
