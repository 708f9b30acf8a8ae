import { describe, expect, it } from "vitest";
import { BLOCK_LINES } from "./blocks";
import { FollowError, type Clock, type FollowEvent, type FollowStart, type LogInfo } from "./follow";
import type { Opening, Update } from "./protocol";
import { KIND_ERROR, rowText } from "./row";
import { LogSession, type LogPort } from "./session";

describe("a finished log", () => {
  it("reads only what is looked at", async () => {
    const { session, updates, port, settle } = open(100_000, false, { at: "firstError" });
    await settle();
    expect(updates.at(-1)).toMatchObject({ lines: 100_000, complete: true, known: true, connection: "ended" });
    expect(port.reads).toEqual([]);
    session.view([{ from: 50_000, to: 50_010 }], 0);
    await settle();
    expect(port.reads).toEqual([[Math.floor(50_000 / BLOCK_LINES) * BLOCK_LINES, BLOCK_LINES]]);
    expect(rows(updates)).toEqual(range(50_000, 50_010));
  });

  it("reads a link's lines, and the end, before the page asks for them", async () => {
    for (const [opening, line] of [[{ at: "line", line: 70_000 }, 70_000], [{ at: "tail" }, 99_999]] as const) {
      const { session, updates, port, settle } = open(100_000, false, opening);
      await settle();
      const reads = port.reads.length;
      expect(reads).toBeGreaterThan(0);
      session.view([{ from: line - 5, to: line + 1 }], 0);
      await settle();
      expect(rows(updates)).toEqual(range(line - 5, line + 1));
      expect(port.reads).toHaveLength(reads);
    }
  });

  it("sends no row before it is asked for: the page would not keep it", async () => {
    const { session, updates, settle } = open(200, false, { at: "tail" }, false);
    // The page is empty yet, and slow to say that it drew that: the lines are here before.
    session.view([], 0);
    await settle();
    session.ack();
    await settle();
    expect(updates.at(-1)).toMatchObject({ known: true, lines: 200 });
    expect(rows(updates)).toEqual([]);
    session.view([{ from: 190, to: 200 }], 0);
    session.ack();
    await settle();
    expect(rows(updates)).toEqual(range(190, 200));
  });

  it("sends each row once, and again when it was let go", async () => {
    const { session, updates, settle } = open(1_000, false, { at: "firstError" });
    await settle();
    session.view([{ from: 0, to: 10 }], 0);
    await settle();
    session.view([{ from: 5, to: 15 }], 0);
    await settle();
    session.view([{ from: 0, to: 10 }], 0);
    await settle();
    expect(rows(updates)).toEqual([...range(0, 10), ...range(10, 15), ...range(0, 5)]);
  });

  it("asks again for lines that could not be read", async () => {
    const { session, updates, port, settle } = open(1_000, false, { at: "firstError" });
    await settle();
    port.failReads = 2;
    session.view([{ from: 0, to: 3 }], 0);
    await settle();
    expect(rows(updates)).toEqual([0, 1, 2]);
    expect(port.reads).toHaveLength(3);
  });

  it("says what the server says when there is none", async () => {
    const { updates, settle } = open(-1, false, { at: "tail" });
    await settle();
    expect(updates.at(-1)).toMatchObject({ known: true, complete: true, lines: 0, missing: "it was removed" });
  });

  it("gives text for the clipboard across blocks", async () => {
    const { session, settle } = open(1_000, false, { at: "firstError" });
    await settle();
    const { text, truncated } = await session.text(BLOCK_LINES - 1, BLOCK_LINES + 1);
    expect(text).toBe(`line ${BLOCK_LINES - 1}\nline ${BLOCK_LINES}`);
    expect(truncated).toBe(false);
  });
});

describe("a log that retention has cut", () => {
  it("reads nothing before its first line, and says so", async () => {
    const { session, updates, port, settle } = open(100_000, false, { at: "firstError" }, true, 70_000);
    await settle();
    expect(updates.at(-1)?.removed).toMatchObject({ lines: 70_000 });
    session.view([{ from: 69_990, to: 70_010 }], 0);
    await settle();
    expect(rows(updates)).toEqual(range(70_000, 70_010));
    session.view([{ from: 0, to: 10 }], 0);
    await settle();
    expect(port.reads).toHaveLength(1);
    expect((await session.text(0, 70_002)).text).toBe("line 70000\nline 70001");
  });

  it("learns by a read that more was taken", async () => {
    const { session, updates, port, settle } = open(100_000, false, { at: "firstError" });
    await settle();
    port.firstLine = 500;
    session.view([{ from: 100, to: 110 }], 0);
    await settle();
    expect(updates.at(-1)?.removed.lines).toBe(500);
    expect(updates.at(-1)?.connection).toBe("ended");
  });
});

describe("pieces of one line", () => {
  it("are copied as one, bytes put together before they are text", async () => {
    const { session, port, settle } = open(1_000, false, { at: "firstError" });
    const bytes = new TextEncoder().encode("…");
    port.special.set(5, { bytes: [...new TextEncoder().encode("one"), ...bytes.subarray(0, 1)], flags: 8 });
    port.special.set(6, { bytes: [...bytes.subarray(1, 2)], flags: 8 | 2 });
    port.special.set(7, { bytes: [...bytes.subarray(2)], flags: 2 });
    await settle();
    expect((await session.text(4, 9)).text).toBe("line 4\none…\nline 8");
    // Of a range that ends within a line there is what the range has.
    expect((await session.text(4, 6)).text).toBe("line 4\none\ufffd");
  });
});

describe("a live log", () => {
  it("sends the tail as it comes, one update at a time", async () => {
    const { session, updates, port, settle } = open(0, true, { at: "tail" }, false);
    session.view([], 3);
    await settle();
    const before = updates.length;
    expect(before).toBe(1);
    port.push(10);
    port.push(10);
    await settle();
    // The page has not drawn the first one yet.
    expect(updates).toHaveLength(before);
    session.ack();
    await settle();
    expect(updates).toHaveLength(before + 1);
    expect(updates.at(-1)?.lines).toBe(20);
    expect(rows(updates)).toEqual([17, 18, 19]);
  });

  it("marks what the lines say, each once", async () => {
    const { updates, port, settle } = open(0, true, { at: "tail" });
    await settle();
    port.push(3, KIND_ERROR);
    port.cut();
    await settle();
    port.push(1);
    await settle();
    expect(updates.flatMap((update) => update.marks)).toEqual([0, 1, 2].map((line) => ({ kind: KIND_ERROR, line })));
  });

  it("loses nothing in a burst, and holds its memory", async () => {
    const { session, updates, port, settle } = open(0, true, { at: "tail" });
    session.view([], 50);
    for (let i = 0; i < 200; i += 1) {
      port.push(10_000);
      if (i % 20 === 0) await settle();
    }
    port.finish();
    await settle();
    const last = updates.at(-1);
    expect(last).toMatchObject({ lines: 2_000_000, complete: true, connection: "ended" });
    expect(last?.cacheBytes).toBeLessThan(33 * 1024 * 1024);
    expect(rows(updates).slice(-50)).toEqual(range(1_999_950, 2_000_000));
    expect(updates.length).toBeLessThan(1_000);
    session.view([{ from: 5, to: 7 }], 0);
    await settle();
    expect(rows(updates).slice(-2)).toEqual([5, 6]);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function rows(updates: Update[]): number[] {
  return updates.flatMap((update) => update.rows.map((row) => (expect(rowText(row)).toBe(`line ${row.line}`), row.line)));
}

function open(lines: number, live: boolean, opening: Opening, acks = true, firstLine = 0) {
  const port = new FakePort(lines, !live);
  port.firstLine = firstLine;
  const updates: Update[] = [];
  const clock: Clock = { sleep: () => Promise.resolve(), timer: () => () => {}, random: () => 0 };
  const session: LogSession = new LogSession(1, port, clock, (update) => {
    updates.push(update);
    if (acks) queueMicrotask(() => session.ack());
  });
  void session.run(live, opening);
  /** All that can happen without anything new from outside has happened. */
  const settle = () => new Promise<void>((done) => setTimeout(done));
  return { session, updates, port, settle };
}

class FakePort implements LogPort {
  reads: [number, number][] = [];
  firstLine = 0;
  readonly special = new Map<number, { bytes: number[]; flags: number }>();
  failReads = 0;
  private size = 0;
  private readonly queue: (FollowEvent | "cut")[] = [];
  private wake = () => {};

  constructor(
    private lines: number,
    private complete: boolean,
  ) {}

  push(count: number, kind = 0): void {
    const { data, meta } = this.bytes(this.lines, count, kind);
    this.queue.push({ type: "data", offset: this.size, firstLine: this.lines, data, meta });
    this.lines += count;
    this.size += data.length;
    this.wake();
  }

  cut(): void {
    this.queue.push("cut");
    this.wake();
  }

  finish(): void {
    this.complete = true;
    this.queue.push({ type: "end", lines: this.lines, sizeBytes: this.size });
    this.wake();
  }

  async info(): Promise<LogInfo | { missing: string }> {
    return this.lines < 0 ? { missing: "it was removed" } : this.log();
  }

  async read(firstLine: number, maxLines: number) {
    this.reads.push([firstLine, maxLines]);
    if (this.failReads > 0) {
      this.failReads -= 1;
      throw new FollowError("retry", "not now");
    }
    const from = Math.max(firstLine, this.firstLine);
    const count = Math.max(0, Math.min(maxLines, this.lines - from));
    return { firstLine: from, ...this.bytes(from, count, 0), totalLines: this.lines, complete: this.complete, logFirstLine: this.firstLine };
  }

  async *open(_start: FollowStart, signal: AbortSignal): AsyncGenerator<FollowEvent> {
    yield { type: "hello", log: this.log() };
    while (!signal.aborted) {
      const next = this.queue.shift();
      if (next === "cut") throw new Error("cut");
      if (next !== undefined) yield next;
      else await new Promise<void>((done) => (this.wake = done));
    }
  }

  private log(): LogInfo {
    return { lines: this.lines, sizeBytes: this.size, complete: this.complete, marks: [], marksTruncated: false, firstLine: this.firstLine, firstOffset: 0 };
  }

  private bytes(from: number, count: number, kind: number): { data: Uint8Array; meta: Uint8Array } {
    const meta = new Uint8Array(count * 8);
    for (let i = 0; i < count; i += 1) meta[i * 8] = (kind << 4) | (this.special.get(from + i)?.flags ?? 0);
    if (this.special.size > 0) {
      const lines = range(from, from + count).flatMap((line) => [...(this.special.get(line)?.bytes ?? new TextEncoder().encode(`line ${line}`)), 10]);
      return { data: Uint8Array.from(lines), meta };
    }
    return { data: new TextEncoder().encode(range(from, from + count).map((line) => `line ${line}\n`).join("")), meta };
  }
}
