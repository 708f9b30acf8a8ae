import { describe, expect, it } from "vitest";
import { backoff, BACKOFF_MAX_MS, follow, FollowError, SILENCE_MAX_MS, SOON_MS, type Clock, type FollowEvent, type FollowSink, type FollowStart, type LogInfo } from "./follow";

const TEXT = "one\ntwo\nthree\nfour\n";
const LINES = TEXT.split(/(?<=\n)/);
const OFFSETS = LINES.map((_, i) => LINES.slice(0, i).join("").length);

type Script = (start: FollowStart, signal: AbortSignal) => AsyncIterable<FollowEvent>;

describe("follow", () => {
  it("hands on a whole log and ends", async () => {
    const { got, starts, states } = await run([async function* () { yield hello(4); yield data(0, 4); yield end(); }]);
    expect(got).toBe(TEXT);
    expect(starts).toEqual([{ lastLines: 100 }]);
    expect(states.at(-1)).toBe("ended");
  });

  it("goes on at the byte where the stream broke", async () => {
    const { got, starts } = await run([
      async function* () { yield hello(2); yield data(0, 2); throw new Error("cut"); },
      async function* () { yield hello(4); yield data(2, 4); yield end(); },
    ]);
    expect(got).toBe(TEXT);
    expect(starts[1]).toEqual({ offset: OFFSETS[2] });
  });

  it("goes on when a stream ends without its last message", async () => {
    const { got, sleeps } = await run([async function* () { yield hello(1); yield data(0, 1); }, async function* () { yield data(1, 4); yield end(); }]);
    expect(got).toBe(TEXT);
    expect(sleeps).toHaveLength(1);
  });

  it("asks for the last lines again when nothing had come", async () => {
    const { starts } = await run([async function* () { yield hello(4); throw new Error("cut"); }, async function* () { yield data(0, 4); yield end(); }]);
    expect(starts[1]).toEqual({ lastLines: 100 });
  });

  it("begins an empty log at its first byte after a cut", async () => {
    const { starts, got } = await run([async function* () { yield hello(0); throw new Error("cut"); }, async function* () { yield data(0, 4); yield end(); }]);
    expect(starts[1]).toEqual({ offset: 0 });
    expect(got).toBe(TEXT);
  });

  it("drops what it has already, and the doubled part of a chunk", async () => {
    const { got, lines } = await run([async function* () { yield data(0, 2); yield data(0, 2); yield data(1, 4); yield end(); }]);
    expect(got).toBe(TEXT);
    expect(lines).toEqual([0, 2]);
  });

  it("does not accept a skip without a gap", async () => {
    const { got, starts } = await run([async function* () { yield data(0, 1); yield data(2, 4); }, async function* () { yield data(1, 4); yield end(); }]);
    expect(got).toBe(TEXT);
    expect(starts[1]).toEqual({ offset: OFFSETS[1] });
  });

  it("tells of a gap and goes on behind it", async () => {
    const { got, gaps } = await run([async function* () { yield data(0, 1); yield { type: "gap", offset: OFFSETS[2] ?? 0, firstLine: 2, reason: "retention" }; yield data(2, 4); yield end(); }]);
    expect(got).toBe("one\nthree\nfour\n");
    expect(gaps).toEqual([[1, 2, "retention"]]);
  });

  it("stops on an error that trying again can't mend", async () => {
    // eslint-disable-next-line require-yield -- it fails at once
    const { states, sleeps } = await run([async function* () { throw new FollowError("fatal", "no"); }]);
    expect(states.at(-1)).toBe("failed");
    expect(sleeps).toEqual([]);
  });

  it("waits only a moment for a log that is about to exist", async () => {
    // eslint-disable-next-line require-yield -- it fails at once
    const { sleeps } = await run([async function* () { throw new FollowError("soon", "not yet"); }, async function* () { yield data(0, 4); yield end(); }]);
    expect(sleeps).toEqual([SOON_MS]);
  });

  it("backs off, and begins anew after progress", async () => {
    // eslint-disable-next-line require-yield -- it fails at once
    const fail: Script = async function* () { throw new Error("down"); };
    const { sleeps } = await run([fail, fail, fail, async function* () { yield data(0, 1); throw new Error("cut"); }, async function* () { yield data(1, 4); yield end(); }]);
    expect(sleeps).toEqual([backoff(0, 0.5), backoff(1, 0.5), backoff(2, 0.5), backoff(0, 0.5)]);
  });

  it("takes a silent stream for dead", async () => {
    const { got, starts } = await run(
      [
        async function* (_start, signal) {
          yield data(0, 2);
          await new Promise((done) => signal.addEventListener("abort", done));
          throw new Error("aborted");
        },
        async function* () { yield data(2, 4); yield end(); },
      ],
      { silence: true },
    );
    expect(starts).toHaveLength(2);
    expect(got).toBe(TEXT);
  });

  it("survives cuts at random places without loss or doubling", async () => {
    let seed = 1;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) >>> 16;
    for (let round = 0; round < 200; round += 1) {
      const scripts: Script[] = Array.from({ length: 12 }, () => async function* (start: FollowStart) {
        let line = "offset" in start ? OFFSETS.concat(TEXT.length).indexOf(start.offset) : 0;
        yield hello(4);
        while (line < 4) {
          if (random() % 3 === 0) throw new Error("cut");
          const to = Math.min(4, line + 1 + (random() % 2));
          yield data(Math.max(0, line - (random() % 2)), to);
          line = to;
        }
        if (random() % 2 === 0) throw new Error("cut before the end");
        yield end();
      });
      const { got } = await run([...scripts, async function* (start) { const line = "offset" in start ? OFFSETS.concat(TEXT.length).indexOf(start.offset) : 0; if (line < 4) yield data(line, 4); yield end(); }]);
      expect(got).toBe(TEXT);
    }
  });

  it("never waits longer than the limit", () => {
    expect(backoff(100, 1)).toBe(BACKOFF_MAX_MS);
    expect(backoff(0, 0)).toBeLessThan(backoff(3, 0));
  });
});

async function run(scripts: Script[], options: { silence?: boolean } = {}) {
  const starts: FollowStart[] = [];
  const states: string[] = [];
  const sleeps: number[] = [];
  const gaps: [number, number, string][] = [];
  const lines: number[] = [];
  let got = "";
  let at = 0;
  let timers = 0;
  const clock: Clock = {
    sleep: (ms) => (sleeps.push(ms), Promise.resolve()),
    timer: (ms, then) => {
      expect(ms).toBe(SILENCE_MAX_MS);
      timers += 1;
      // The first is for the opening, the second for what comes after the first message: nothing.
      if (options.silence === true && timers === 2) setTimeout(then);
      return () => {};
    },
    random: () => 0.5,
  };
  const sink: FollowSink = {
    hello: () => {},
    data: (first, bytes) => (lines.push(first), (got += new TextDecoder().decode(bytes))),
    gap: (from, to, _offset, reason) => gaps.push([from, to, reason]),
    end: () => {},
    connection: (state) => states.push(state),
  };
  const port = {
    open(start: FollowStart, signal: AbortSignal) {
      starts.push(start);
      const script = scripts[at++];
      if (script === undefined) throw new FollowError("fatal", "the test has no more streams");
      return script(start, signal);
    },
  };
  await follow(port, { lastLines: 100 }, sink, clock, new AbortController().signal);
  return { got, starts, states, sleeps, gaps, lines };
}

function hello(lines: number): FollowEvent {
  const log: LogInfo = { lines, sizeBytes: LINES.slice(0, lines).join("").length, complete: false, marks: [], marksTruncated: false, firstLine: 0, firstOffset: 0 };
  return { type: "hello", log };
}

function data(from: number, to: number): FollowEvent {
  return { type: "data", offset: OFFSETS[from] ?? 0, firstLine: from, data: new TextEncoder().encode(LINES.slice(from, to).join("")), meta: new Uint8Array((to - from) * 8) };
}

function end(): FollowEvent {
  return { type: "end", sizeBytes: TEXT.length, lines: 4 };
}
