import { describe, expect, it } from "vitest";
import { ScrollMap, SPACER_MAX_PX } from "./scroll";

const ROW = 20;
const VIEW = 800;
const TEN_MILLION = 10_000_000;

describe("a list that fits", () => {
  it("is scrolled as it is", () => {
    const map = new ScrollMap(ROW);
    map.resize(1_000, VIEW);
    expect(map.spacerPx).toBe(20_000);
    map.scrolled(5_000);
    expect([map.top, map.base]).toEqual([5_000, 0]);
    expect(map.moveTo(1e9)).toBe(20_000 - VIEW);
    expect(map.atEnd).toBe(true);
  });

  it("keeps its place while it grows, and is held in when it shrinks", () => {
    const map = new ScrollMap(ROW);
    map.resize(1_000, VIEW);
    map.moveTo(10_000);
    expect(map.resize(5_000, VIEW)).toBe(10_000);
    expect(map.resize(100, VIEW)).toBe(2_000 - VIEW);
    expect(map.resize(0, VIEW)).toBe(0);
  });
});

describe("ten million lines", () => {
  const list = () => {
    const map = new ScrollMap(ROW);
    map.resize(TEN_MILLION, VIEW);
    return map;
  };

  it("have a spacer that browsers bear", () => {
    expect(list().spacerPx).toBe(SPACER_MAX_PX);
  });

  it("can all be reached", () => {
    const map = list();
    for (const line of [0, 1, 4_999_999, 9_999_000, TEN_MILLION - 1]) {
      const wanted = Math.min(line * ROW, map.maxTop);
      const scrollTop = map.moveTo(wanted);
      expect(map.top).toBe(wanted);
      expect(scrollTop).toBeGreaterThanOrEqual(0);
      expect(scrollTop).toBeLessThanOrEqual(SPACER_MAX_PX - VIEW);
    }
  });

  it("move by what a wheel says, wherever the bar is", () => {
    const map = list();
    const at = map.moveTo(100_000_000);
    map.scrolled(at + 120);
    expect(map.top).toBe(100_000_120);
    map.scrolled(at + 20);
    expect(map.top).toBe(100_000_020);
  });

  it("are scaled when the bar is dragged", () => {
    const map = list();
    map.scrolled((SPACER_MAX_PX - VIEW) / 2);
    expect(Math.abs(map.top - map.maxTop / 2)).toBeLessThan(ROW);
    map.scrolled(SPACER_MAX_PX - VIEW);
    expect(map.top).toBeCloseTo(map.maxTop);
    map.scrolled(0);
    expect(map.top).toBeCloseTo(0);
  });

  it("can be wheeled through from end to end without getting stuck", () => {
    const map = list();
    let bar = map.moveTo(200_000);
    let before = map.top;
    for (let i = 0; i < 5_000 && map.top > 0; i += 1) {
      bar = Math.max(0, bar - 100);
      bar = map.scrolled(bar) ?? bar;
      expect(map.top).toBeLessThanOrEqual(before);
      before = map.top;
    }
    expect(map.top).toBe(0);
    bar = map.moveTo(map.maxTop - 100_000);
    for (let i = 0; i < 5_000 && map.top < map.maxTop; i += 1) {
      bar = Math.min(SPACER_MAX_PX - VIEW, bar + 100);
      bar = map.scrolled(bar) ?? bar;
    }
    expect(map.top).toBe(map.maxTop);
  });

  it("keep their place when the bar is put right, and while lines are added", () => {
    const map = list();
    const at = map.moveTo(50_000_000);
    map.scrolled(at + 2_000);
    const { top } = map;
    map.settle();
    expect(map.top).toBe(top);
    map.resize(TEN_MILLION + 5_000, VIEW);
    expect(map.top).toBe(top);
  });
});
