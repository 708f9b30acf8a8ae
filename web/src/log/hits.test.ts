import { describe, expect, it } from "vitest";
import { HitList } from "./hits";

function list(...hits: [number, number[]][]): HitList {
  const hitList = new HitList();
  for (const [line, columns] of hits) hitList.push(line, columns);
  return hitList;
}

describe("HitList", () => {
  it("keeps lines and columns, over chunks", () => {
    const all = new HitList();
    all.add(list([3, [0, 2]], [7, [1, 2, 5, 9]]).take());
    all.add(list([9, []], [10_000_000_000, [4, 5]]).take());
    expect(all.visible).toBe(4);
    expect([0, 1, 2, 3].map((place) => [all.lineAt(place), ...all.columns(place)])).toEqual([[3, 0, 2], [7, 1, 2, 5, 9], [9], [10_000_000_000, 4, 5]]);
  });

  it("finds the place of a line", () => {
    const hits = list([3, []], [7, []], [9, []]);
    expect([0, 3, 4, 9, 10].map((line) => hits.placeOf(line))).toEqual([0, 0, 1, 2, 3]);
    expect([3, 4, 9, 10].map((line) => hits.find(line))).toEqual([0, -1, 2, -1]);
  });

  it("gives away what it has", () => {
    const hits = list([3, [1, 2]]);
    expect(hits.take().lines).toEqual(Float64Array.of(3));
    expect(hits.visible).toBe(0);
    hits.push(4, [2, 3]);
    expect(hits.take()).toEqual({ lines: Float64Array.of(4), ends: Uint32Array.of(2), columns: Uint32Array.of(2, 3) });
  });

  it("takes few bytes a hit", () => {
    const all = new HitList();
    const chunk = new HitList();
    for (let line = 0; line < 200_000; line += 1) {
      chunk.push(line, [3, 9]);
      if (line % 1_000 === 999) all.add(chunk.take());
    }
    expect(all.visible).toBe(200_000);
    expect(all.bytes).toBeLessThan(200_000 * 45);
  });
});
