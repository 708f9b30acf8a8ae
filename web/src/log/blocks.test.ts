import { describe, expect, it } from "vitest";
import { BLOCK_LINES, BlockCache, lineStarts, readMeta } from "./blocks";

describe("BlockCache", () => {
  it("gives back lines with their time and flags", () => {
    const cache = new BlockCache();
    expect(cache.put(10, ...lines(10, 20))).toBe(10);
    const line = cache.line(12);
    expect(text(line?.bytes)).toBe("line 12\n");
    expect(line?.time).toBe(1_790_000_000_012);
    expect(line?.flags).toBe(12 & 0xf);
    expect(cache.line(9)).toBeUndefined();
    expect(cache.line(20)).toBeUndefined();
  });

  it("cuts what comes at the borders of blocks", () => {
    const cache = new BlockCache();
    cache.put(0, ...lines(0, BLOCK_LINES * 3 + 5));
    for (const line of [0, BLOCK_LINES - 1, BLOCK_LINES, BLOCK_LINES * 3 + 4]) expect(text(cache.line(line)?.bytes)).toBe(`line ${line}\n`);
  });

  it("joins live lines with those read before them, none twice", () => {
    const cache = new BlockCache();
    cache.put(100, ...lines(100, 120));
    cache.put(120, ...lines(120, 125));
    cache.put(110, ...lines(110, 130));
    cache.put(0, ...lines(0, 110));
    for (let line = 0; line < 130; line += 1) expect(text(cache.line(line)?.bytes)).toBe(`line ${line}\n`);
  });

  it("joins many small arrivals", () => {
    const cache = new BlockCache();
    for (let line = 0; line < 600; line += 1) cache.put(line, ...lines(line, line + 1));
    for (let line = 0; line < 600; line += 1) expect(text(cache.line(line)?.bytes)).toBe(`line ${line}\n`);
  });

  it("drops the least recently used, but never what is pinned", () => {
    const cache = new BlockCache(64 * 1024);
    cache.put(0, ...lines(0, BLOCK_LINES));
    cache.put(BLOCK_LINES, ...lines(BLOCK_LINES, BLOCK_LINES * 2));
    cache.pin([{ from: 3, to: 4 }]);
    for (let block = 2; block < 100; block += 1) cache.put(block * BLOCK_LINES, ...lines(block * BLOCK_LINES, (block + 1) * BLOCK_LINES));
    expect(cache.bytes).toBeLessThanOrEqual(64 * 1024);
    expect(cache.has(3)).toBe(true);
    expect(cache.has(BLOCK_LINES)).toBe(false);
    expect(cache.has(99 * BLOCK_LINES)).toBe(true);
  });

  it("keeps what was looked at", () => {
    const cache = new BlockCache(40 * 1024);
    for (let block = 0; block < 20; block += 1) {
      cache.put(block * BLOCK_LINES, ...lines(block * BLOCK_LINES, (block + 1) * BLOCK_LINES));
      cache.line(0);
    }
    expect(cache.has(0)).toBe(true);
    expect(cache.has(BLOCK_LINES)).toBe(false);
  });
});

describe("lineStarts", () => {
  it.each([
    ["", [0]],
    ["a\n", [0, 2]],
    ["a", [0, 1]],
    ["a\n\nb", [0, 2, 3, 4]],
    ["\n\n", [0, 1, 2]],
  ])("of %j", (data, starts) => {
    expect([...lineStarts(new TextEncoder().encode(data))]).toEqual(starts);
  });
});

it("reads a word without losing a bit", () => {
  const meta = new Uint8Array(8);
  new DataView(meta.buffer).setBigUint64(0, (281_474_976_710_655n << 16n) | 0xabcdn, true);
  expect(readMeta(meta, 0)).toEqual({ time: 281_474_976_710_655, flags: 0xabcd });
  expect(readMeta(meta, 1)).toEqual({ time: 0, flags: 0 });
});

function lines(from: number, to: number): [Uint8Array, Uint8Array] {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i);
  const meta = new DataView(new ArrayBuffer(numbers.length * 8));
  numbers.forEach((line, i) => meta.setBigUint64(i * 8, (BigInt(1_790_000_000_000 + line) << 16n) | BigInt(line & 0xf), true));
  return [new TextEncoder().encode(numbers.map((line) => `line ${line}\n`).join("")), new Uint8Array(meta.buffer)];
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
