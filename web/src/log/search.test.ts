import { describe, expect, it } from "vitest";
import { FollowError, type Clock } from "./follow";
import type { Found } from "./protocol";
import { search, TYPING_MS, type SearchPort, type SearchStep } from "./search";

const QUERY = { text: "x", regex: false, caseSensitive: false };

function step(lines: number[], searched: number, done = false): SearchStep {
  return { hits: lines.map((line) => ({ line, columns: [0, 1] })), linesSearched: searched, linesTotal: 100, matchingLines: lines.length, matches: lines.length, truncated: false, done };
}

/** A stream that fails before it says anything. */
function refused(error: Error): () => AsyncGenerator<SearchStep> {
  return async function* () {
    if (error.message !== "") throw error;
    yield step([], 0);
  };
}

/** Runs a search over streams that are given; timers fire when the test says. */
function run(streams: (() => AsyncGenerator<SearchStep>)[], stop = new AbortController()) {
  const posts: Pick<Found, "fresh" | "hits" | "progress">[] = [];
  const sleeps: number[] = [];
  const timers: (() => void)[] = [];
  const clock: Clock = { sleep: async (ms) => void sleeps.push(ms), timer: (_ms, then) => (timers.push(then), () => {}), random: () => 0 };
  const port: SearchPort = { search: () => (streams.shift() ?? (async function* () {}))() };
  const ended = search(port, QUERY, clock, stop.signal, (found) => posts.push(found));
  return { posts, sleeps, timers, ended, stop, lines: () => posts.map(({ hits }) => [...hits.lines]) };
}

describe("search", () => {
  it("waits until nobody types, sends the first hits at once and gathers the others", async () => {
    const { posts, sleeps, timers, ended, lines } = run([async function* () { yield step([1], 10); yield step([2], 20); yield step([3], 100, true); }]);
    await ended;
    expect(sleeps).toEqual([TYPING_MS]);
    expect(timers).toHaveLength(1);
    expect(lines()).toEqual([[1], [2, 3]]);
    expect(posts.map(({ fresh }) => fresh)).toEqual([true, false]);
    expect(posts.at(-1)?.progress).toMatchObject({ state: "done", linesSearched: 100 });
    timers[0]?.();
    expect(posts).toHaveLength(2);
  });

  it("sends what was gathered when the rest is over", async () => {
    let go = () => {};
    const gate = new Promise<void>((done) => (go = done));
    const { timers, ended, lines } = run([async function* () { yield step([1], 10); yield step([2], 20, true); await gate; yield step([5], 30, true); }]);
    await new Promise((done) => setTimeout(done));
    expect(lines()).toEqual([[1]]);
    timers.shift()?.();
    expect(lines()).toEqual([[1], [2]]);
    timers.shift()?.();
    go();
    await ended;
    expect(lines()).toEqual([[1], [2], [5], []]);
  });

  it("begins anew after a cut; what was found stays until then", async () => {
    const { posts, sleeps, ended, lines } = run([
      async function* () { yield step([1], 10); throw new FollowError("retry", "cut"); },
      refused(new FollowError("retry", "cut")),
      async function* () { yield step([1, 2], 100, true); },
    ]);
    await ended;
    expect(posts.map(({ fresh, progress }) => [fresh, progress.state])).toEqual([[true, "searching"], [false, "waiting"], [false, "waiting"], [true, "done"]]);
    expect(lines()).toEqual([[1], [], [], [1, 2]]);
    expect(sleeps).toHaveLength(3);
    expect(sleeps[2]).toBeGreaterThan(sleeps[1] ?? 0);
  });

  it("says why a pattern is refused, and does not ask again", async () => {
    const { posts, sleeps, ended } = run([refused(new FollowError("fatal", "pattern: bad"))]);
    await ended;
    expect(posts.map(({ progress }) => [progress.state, progress.message])).toEqual([["failed", "pattern: bad"]]);
    expect(sleeps).toHaveLength(1);
  });

  it("says nothing any more once another one began", async () => {
    const stop = new AbortController();
    const { posts, ended } = run([async function* () { yield step([1], 10); stop.abort(); yield step([2], 20); }], stop);
    await ended;
    expect(posts).toHaveLength(1);
  });
});
