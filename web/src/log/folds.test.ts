import { describe, expect, it } from "vitest";
import { Folds } from "./folds";
import { KIND_ENDGROUP, KIND_ERROR, KIND_GROUP } from "./row";

const group = (line: number) => ({ kind: KIND_GROUP, line });
const end = (line: number) => ({ kind: KIND_ENDGROUP, line });

function visible(folds: Folds): number[] {
  return Array.from({ length: folds.visible }, (_, place) => folds.lineAt(place));
}

describe("Folds", () => {
  it("hides only end marks at first", () => {
    const folds = new Folds();
    folds.update([group(2), { kind: KIND_ERROR, line: 3 }, end(5)], 8);
    expect(visible(folds)).toEqual([0, 1, 2, 3, 4, 6, 7]);
    expect(folds.all).toEqual([{ start: 2, last: 5 }]);
  });

  it("shows one line for all that retention took", () => {
    const folds = new Folds();
    folds.update([group(2), end(5), group(8), end(10)], 12, 4);
    // Where a group began before, its end hides as any end does.
    expect(visible(folds)).toEqual([0, 4, 6, 7, 8, 9, 11]);
    expect(folds.all).toEqual([{ start: 8, last: 10 }]);
    expect(folds.placeOf(2)).toBe(1);
    folds.update([group(2), end(5), group(8), end(10)], 12, 9);
    expect(visible(folds)).toEqual([0, 9, 11]);
    folds.update([], 12, 12);
    expect(visible(folds)).toEqual([0]);
  });

  it("folds and unfolds", () => {
    const folds = new Folds();
    folds.update([group(2), end(5), group(6), end(8)], 10);
    folds.toggle(2);
    expect(visible(folds)).toEqual([0, 1, 2, 6, 7, 9]);
    folds.foldAll(true);
    expect(visible(folds)).toEqual([0, 1, 2, 6, 9]);
    folds.toggle(2);
    expect(visible(folds)).toEqual([0, 1, 2, 3, 4, 6, 9]);
    folds.foldAll(false);
    expect(visible(folds)).toEqual([0, 1, 2, 3, 4, 6, 7, 9]);
  });

  it("ends a group where the next one begins", () => {
    const folds = new Folds();
    folds.update([group(0), group(3), end(5)], 7);
    expect(folds.all).toEqual([{ start: 0, last: 2 }, { start: 3, last: 5 }]);
    folds.toggle(0);
    expect(visible(folds)).toEqual([0, 3, 4, 6]);
  });

  it("lets a group without an end grow with the log", () => {
    const folds = new Folds();
    const marks = [group(1)];
    folds.update(marks, 3);
    folds.toggle(1);
    expect(visible(folds)).toEqual([0, 1]);
    folds.update(marks, 1_000);
    expect(visible(folds)).toEqual([0, 1]);
    folds.update([...marks, end(1_000)], 1_003);
    expect(visible(folds)).toEqual([0, 1, 1_001, 1_002]);
  });

  it("shows what it is asked to reveal", () => {
    const folds = new Folds();
    folds.update([group(1), end(10)], 20);
    folds.toggle(1);
    folds.reveal(5);
    expect(folds.isFolded(1)).toBe(false);
    folds.toggle(1);
    folds.reveal(1);
    expect(folds.isFolded(1)).toBe(true);
  });

  it("finds its way there and back with many groups", () => {
    const folds = new Folds();
    folds.update(Array.from({ length: 5_000 }, (_, i) => [group(i * 20), end(i * 20 + 15)]).flat(), 100_000);
    for (let i = 0; i < 5_000; i += 3) folds.toggle(i * 20);
    for (let place = 0; place < folds.visible; place += 97) expect(folds.placeOf(folds.lineAt(place))).toBe(place);
    const lines = visible(folds);
    expect(new Set(lines).size).toBe(lines.length);
    expect(folds.lineAt(folds.placeOf(7))).toBe(16);
  });

  it("ignores an end without a beginning, and marks past the end", () => {
    const folds = new Folds();
    folds.update([end(2), group(90)], 5);
    expect(visible(folds)).toEqual([0, 1, 3, 4]);
  });
});
