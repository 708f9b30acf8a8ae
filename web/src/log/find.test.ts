import { describe, expect, it } from "vitest";
import { Find } from "./find";
import { standText } from "./find-bar";
import { HitList } from "./hits";
import type { Found, SearchProgress } from "./protocol";
import { findSearch, queryOf, searchOf } from "./query";

const QUERY = { text: "x", regex: false, caseSensitive: false };

function found(search: number, lines: number[], state: SearchProgress["state"], fresh = false): Found {
  const hits = new HitList();
  for (const line of lines) hits.push(line, [0, 1]);
  return { type: "found", session: 1, search, fresh, hits: hits.take(), progress: { state, message: "", linesSearched: 50, linesTotal: 100, matchingLines: lines.length, matches: lines.length, truncated: false } };
}

describe("Find", () => {
  it("goes to the first hit behind the place, as soon as there is one", () => {
    const find = new Find();
    const id = find.begin(QUERY, 10, true);
    expect(find.take(found(id, [3], "searching", true))).toBeUndefined();
    expect(find.take(found(id, [12, 15], "searching"))).toBe(12);
    expect(find.status()).toMatchObject({ current: 1, listed: 3 });
    expect(find.step(1)).toBe(15);
    // There may be more: the end of the list is not the end.
    expect(find.step(1)).toBeUndefined();
    find.take(found(id, [], "done"));
    expect(find.step(1)).toBe(3);
    expect(find.step(-1)).toBe(15);
  });

  it("goes around to the first when nothing is behind the place", () => {
    const find = new Find();
    const id = find.begin(QUERY, 10, true);
    expect(find.take(found(id, [3, 4], "watching", true))).toBe(3);
  });

  it("only marks when the place is that of a link", () => {
    const find = new Find();
    const id = find.begin(QUERY, 10, false);
    expect(find.take(found(id, [12], "done", true))).toBeUndefined();
    expect(find.currentLine).toBe(12);
  });

  it("stays at its line when the search begins anew, and does not jump", () => {
    const find = new Find();
    const id = find.begin(QUERY, 0, true);
    find.take(found(id, [3, 8, 9], "searching", true));
    find.step(1);
    expect(find.take(found(id, [3, 8], "searching", true))).toBeUndefined();
    expect(find.currentLine).toBe(8);
    expect(find.hits.visible).toBe(2);
  });

  it("knows nothing of another search", () => {
    const find = new Find();
    const id = find.begin(QUERY, 0, true);
    find.begin(QUERY, 0, true);
    expect(find.take(found(id, [3], "done", true))).toBeUndefined();
    expect(find.status()?.listed).toBe(0);
    find.begin(undefined, 0, false);
    expect(find.status()).toBeUndefined();
    expect(find.step(1)).toBeUndefined();
  });
});

describe("the words of the bar", () => {
  const status = { state: "searching" as const, message: "", linesSearched: 43, linesTotal: 100, matchingLines: 3456, matches: 4000, truncated: false, current: 11, listed: 3456 };
  it.each([
    [status, "12 of 3 456 lines · searching 43 %"],
    [{ ...status, matchingLines: 0, linesTotal: 0 }, "searching …"],
    [{ ...status, state: "done" as const }, "12 of 3 456 lines"],
    [{ ...status, state: "done" as const, matchingLines: 1, current: 0 }, "1 of 1 line"],
    [{ ...status, state: "done" as const, matchingLines: 0 }, "No hit"],
    [{ ...status, state: "watching" as const, matchingLines: 0 }, "No hit so far"],
    [{ ...status, state: "waiting" as const, current: -1 }, "3 456 lines · connection lost, trying again"],
  ])("%#", (given, words) => expect(standText(given).replaceAll("\u202f", " ")).toBe(words));
});

describe("a search in a link", () => {
  it.each([
    [{ q: "a", regex: "1", case: "1" }, { q: "a", regex: "1", case: "1" }],
    [{ q: "a", regex: "yes", case: 1 }, { q: "a" }],
    [{ q: "", regex: "1" }, {}],
    [{ q: 5 }, {}],
    [{ q: "x".repeat(1_001) }, {}],
  ])("%#", (given, taken) => {
    expect(findSearch(given)).toEqual(taken);
    expect(searchOf(queryOf(findSearch(given)))).toEqual(taken);
  });
});
