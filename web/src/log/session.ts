// The worker's side of one open log: what to fetch for what is on the screen, the live tail, and the updates to the
// page, never more than one under way. Knows no worker scope, no DOM and no transport: all comes in by ports.
import { BlockCache, BLOCK_LINES, type LineRange } from "./blocks";
import { backoff, follow, FollowError, type Clock, type Connection, type FollowPort, type LogInfo, type Mark } from "./follow";
import type { Opening, Removed, Update } from "./protocol";
import { FLAG_JOINED, lineText, makeRow } from "./row";

/** What a live view asks for first. */
export const TAIL_LINES = 500;
/** With two streams of the page there are six connections to an origin. */
const READS_AT_ONCE = 3;
/** Where a log is opened, so many lines are read before the page asks for its window. */
const AHEAD_BEFORE_LINES = 60;
const AHEAD_LINES = 180;
const MARKS_MAX = 20_000;
const COPY_MAX_LINES = 100_000;
const COPY_MAX_CHARS = 16 * 1024 * 1024;

export interface Lines {
  firstLine: number;
  data: Uint8Array;
  meta: Uint8Array;
  totalLines: number;
  complete: boolean;
  /** The first line that is still there. */
  logFirstLine: number;
}

export interface LogPort extends FollowPort {
  /** What the server says when the log does not exist (yet, or any more). */
  info(signal: AbortSignal): Promise<LogInfo | { missing: string }>;
  read(firstLine: number, maxLines: number, signal: AbortSignal): Promise<Lines>;
}

export class LogSession {
  private readonly cache = new BlockCache();
  private readonly stop = new AbortController();
  private lines = 0;
  private sizeBytes = 0;
  private complete = false;
  private known = false;
  private connection: Connection = "connecting";
  private message = "";
  private marks: Mark[] = [];
  private marksTotal = 0;
  private lastMarkLine = -1;
  private marksTruncated = false;
  private missing: string | undefined;
  private removed: Removed = { lines: 0, bytes: 0, reason: "" };
  private ranges: LineRange[] = [];
  private tail = 0;
  /** Read, and not sent, until the page asks: it keeps the rows it asked for and no others. */
  private ahead: LineRange[] = [];
  /** Lines the page has. */
  private readonly sent = new Set<number>();
  private readonly reading = new Set<number>();
  private readonly failures = new Map<number, number>();
  private waitingForAck = false;
  private dirty = false;
  private scheduled = false;

  constructor(
    private readonly id: number,
    private readonly port: LogPort,
    private readonly clock: Clock,
    private readonly post: (update: Update) => void,
  ) {}

  /** Begins; ends when the log is complete or the session is closed. */
  async run(live: boolean, opening: Opening): Promise<void> {
    if (opening.at === "line") this.readAhead(opening.line);
    if (!live && (await this.open(opening))) return;
    await follow(this.port, { lastLines: TAIL_LINES }, this.sink(), this.clock, this.stop.signal);
  }

  close(): void {
    this.stop.abort();
    this.cache.clear();
  }

  view(ranges: LineRange[], tail: number): void {
    this.ranges = ranges;
    this.tail = tail;
    if (ranges.length > 0 || tail > 0) this.ahead = [];
    const wanted = this.wanted();
    this.cache.pin(wanted);
    for (const line of this.sent) if (!wanted.some((range) => line >= range.from && line < range.to)) this.sent.delete(line);
    this.fetch();
    this.changed();
  }

  ack(): void {
    this.waitingForAck = false;
    if (this.dirty) this.flush();
  }

  /** The text of lines for the clipboard, read from the server where it is not at hand. Pieces of one line are one. */
  async text(from: number, to: number): Promise<{ text: string; truncated: boolean }> {
    const first = Math.max(from, this.removed.lines);
    const end = Math.min(to, this.lines, first + COPY_MAX_LINES);
    const parts: string[] = [];
    let pieces: Uint8Array[] = [];
    let chars = 0;
    let line = first;
    while (line < end && chars < COPY_MAX_CHARS) {
      if (!this.cache.has(line)) await this.load(Math.floor(line / BLOCK_LINES), line);
      const cached = this.cache.line(line);
      if (cached === undefined) break;
      line += 1;
      if ((cached.flags & FLAG_JOINED) !== 0 && line < end) {
        pieces.push(withoutEnd(cached.bytes));
        continue;
      }
      // A character may have been split as well: bytes are put together, not text.
      const text = lineText(pieces.length === 0 ? cached.bytes : concat([...pieces, cached.bytes]));
      pieces = [];
      parts.push(text);
      chars += text.length;
    }
    return { text: parts.join("\n"), truncated: line < Math.min(to, this.lines) };
  }

  /** A finished log: its size and marks, then only what is looked at. False when it must be followed all the same. */
  private async open(opening: Opening): Promise<boolean> {
    let failures = 0;
    while (!this.stop.signal.aborted) {
      try {
        this.fetch();
        const info = await this.port.info(this.stop.signal);
        if ("missing" in info) {
          this.missing = info.missing;
          this.known = true;
          this.complete = true;
          this.setConnection("ended", "");
          return true;
        }
        if (!info.complete) return false;
        this.learn(info);
        this.setConnection("ended", "");
        if (opening.at === "tail") this.readAhead(info.lines);
        this.fetch();
        return true;
      } catch (error) {
        if (this.stop.signal.aborted) return true;
        const message = error instanceof Error ? error.message : String(error);
        if (error instanceof FollowError && error.kind === "fatal") {
          this.setConnection("failed", message);
          return true;
        }
        this.setConnection("waiting", message);
        await this.clock.sleep(backoff(failures, this.clock.random()), this.stop.signal);
        failures += 1;
      }
    }
    return true;
  }

  private sink() {
    return {
      hello: (log: LogInfo) => this.learn(log),
      data: (firstLine: number, data: Uint8Array, meta: Uint8Array) => this.append(firstLine, data, meta),
      gap: (_from: number, to: number, toOffset: number, reason: string) => {
        this.lines = Math.max(this.lines, to);
        this.remove(to, toOffset, reason);
      },
      end: (lines: number, sizeBytes: number) => {
        this.lines = lines;
        this.sizeBytes = sizeBytes;
        this.complete = true;
        this.known = true;
        this.changed();
      },
      connection: (state: Connection, message: string) => this.setConnection(state, message),
    };
  }

  private setConnection(state: Connection, message: string): void {
    this.connection = state;
    this.message = message;
    this.changed();
  }

  private learn(log: LogInfo): void {
    for (const mark of log.marks) this.addMark(mark);
    this.marksTruncated ||= log.marksTruncated;
    this.lines = Math.max(this.lines, log.lines);
    this.sizeBytes = Math.max(this.sizeBytes, log.sizeBytes);
    this.complete = log.complete;
    this.known = true;
    this.remove(log.firstLine, log.firstOffset, "");
    this.changed();
  }

  /** Retention takes from the front: what is before a line that is gone is gone as well. */
  private remove(lines: number, bytes: number, reason: string): void {
    if (lines <= this.removed.lines) return;
    this.removed = { lines, bytes: Math.max(bytes, this.removed.bytes), reason };
    this.changed();
  }

  private addMark(mark: Mark): void {
    if (mark.line <= this.lastMarkLine) return;
    if (this.marksTotal >= MARKS_MAX) {
      this.marksTruncated = true;
      return;
    }
    this.lastMarkLine = mark.line;
    this.marksTotal += 1;
    this.marks.push(mark);
  }

  private append(firstLine: number, data: Uint8Array, meta: Uint8Array): void {
    const count = this.cache.put(firstLine, data, meta);
    for (let i = 0, at = 0; i < count; i += 1, at += 8) {
      const kind = ((meta[at] ?? 0) >> 4) & 0xf;
      if (kind !== 0) this.addMark({ kind, line: firstLine + i });
    }
    if (firstLine + count > this.lines) {
      this.lines = firstLine + count;
      this.sizeBytes += data.length;
    }
    this.changed();
  }

  private readAhead(line: number): void {
    const from = Math.max(0, line - AHEAD_BEFORE_LINES);
    this.ahead = [{ from, to: from + AHEAD_LINES }];
  }

  private wanted(): LineRange[] {
    const ranges = this.within(this.ranges);
    if (this.tail > 0) ranges.push({ from: Math.max(0, this.lines - this.tail), to: this.lines });
    return ranges;
  }

  private within(ranges: readonly LineRange[]): LineRange[] {
    return ranges.map(({ from, to }) => ({ from: Math.max(0, from), to: Math.min(to, this.lines) }));
  }

  private fetch(): void {
    // Before the length is known a link's lines are asked for on trust.
    const ranges = this.known ? [...this.wanted(), ...this.within(this.ahead)] : this.ahead;
    for (const range of ranges) {
      for (let index = Math.floor(range.from / BLOCK_LINES); index * BLOCK_LINES < range.to; index += 1) {
        const from = Math.max(range.from, index * BLOCK_LINES, this.removed.lines);
        const missing = firstMissing(this.cache, from, Math.min(range.to, (index + 1) * BLOCK_LINES));
        if (missing === undefined || this.reading.has(index)) continue;
        if (this.reading.size >= READS_AT_ONCE) return;
        void this.refresh(index, missing);
      }
    }
  }

  private async refresh(index: number, missing: number): Promise<void> {
    this.reading.add(index);
    try {
      await this.load(index, missing);
      this.failures.delete(index);
    } catch (error) {
      if (this.stop.signal.aborted) return;
      const failures = this.failures.get(index) ?? 0;
      this.failures.set(index, failures + 1);
      this.message = `Some lines could not be read: ${error instanceof Error ? error.message : String(error)}`;
      this.changed();
      if (error instanceof FollowError && error.kind === "fatal") {
        this.setConnection("failed", this.message);
        return;
      }
      await this.clock.sleep(backoff(failures, this.clock.random()), this.stop.signal);
    } finally {
      this.reading.delete(index);
    }
    if (this.stop.signal.aborted) return;
    this.changed();
    this.fetch();
  }

  /** Reads a block from its beginning; a block of very long lines takes several reads, the missing line first. */
  private async load(index: number, missing: number): Promise<void> {
    const first = index * BLOCK_LINES;
    const got = await this.port.read(first, BLOCK_LINES, this.stop.signal);
    this.take(got);
    if (this.cache.has(missing) || got.totalLines <= missing || missing < this.removed.lines) return;
    const rest = await this.port.read(missing, first + BLOCK_LINES - missing, this.stop.signal);
    this.take(rest);
    if (!this.cache.has(missing)) throw new Error(`the server did not send line ${missing + 1}`);
  }

  private take(got: Lines): void {
    if (got.data.length > 0) this.cache.put(got.firstLine, got.data, got.meta);
    this.lines = Math.max(this.lines, got.totalLines);
    this.remove(got.logFirstLine, 0, "");
  }

  /** Something is new: it goes out with the next update, at once when none is under way. */
  private changed(): void {
    this.dirty = true;
    if (this.waitingForAck || this.scheduled) return;
    this.scheduled = true;
    // What comes in the same turn goes out together.
    queueMicrotask(() => {
      this.scheduled = false;
      if (!this.waitingForAck) this.flush();
    });
  }

  private flush(): void {
    if (this.stop.signal.aborted) return;
    this.dirty = false;
    this.waitingForAck = true;
    const wanted = this.wanted();
    this.cache.pin(wanted);
    const rows = wanted.flatMap((range) => this.rows(range));
    for (const line of this.sent) if (!wanted.some((range) => line >= range.from && line < range.to)) this.sent.delete(line);
    const { lines, sizeBytes, complete, known, connection, message, missing, removed, marksTruncated } = this;
    const marks = this.marks;
    this.marks = [];
    this.post({ type: "update", session: this.id, lines, sizeBytes, complete, known, connection, message, missing, removed, rows, marks, marksTruncated, cacheBytes: this.cache.bytes });
  }

  private rows(range: LineRange) {
    const rows = [];
    for (let line = Math.max(range.from, this.removed.lines); line < range.to; line += 1) {
      if (this.sent.has(line)) continue;
      const cached = this.cache.line(line);
      if (cached === undefined) continue;
      this.sent.add(line);
      rows.push(makeRow(line, cached.bytes, cached.time, cached.flags & 0xff));
    }
    return rows;
  }
}

function withoutEnd(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function firstMissing(cache: BlockCache, from: number, to: number): number | undefined {
  for (let line = from; line < to; line += 1) if (!cache.has(line)) return line;
  return undefined;
}
