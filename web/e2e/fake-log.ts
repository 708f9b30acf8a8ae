// A log that is made up as it is asked for, or appended to as a test says; its streams can be cut.
import type { FollowResponse } from "../src/gen/millrace/v1/log_pb.js";
import { FollowResponseSchema, type SearchResponseSchema } from "../src/gen/millrace/v1/log_pb.js";
import { create, type MessageInitShape } from "@bufbuild/protobuf";

const LINE_BYTES = 96;
const START_MS = 1_790_000_000_000;

/** A line that is not like the others. */
export interface Special {
  text: string;
  kind: number;
  stderr?: boolean;
  /** It goes on with the next line. */
  joined?: boolean;
  /** It is part of the row before it. */
  continues?: boolean;
  /** The server's own words. */
  room?: boolean;
}

const SEARCH_STEP_LINES = 100_000;

/** Lines of one length, so that offsets are a multiplication; the text of line n begins with "line n+1 ". */
export class FakeLog {
  complete: boolean;
  /** Follow streams end with an error after so many messages; 0: never. */
  cutAfter = 0;
  /** A search waits for this before each message after the first. */
  gate: Promise<void> = Promise.resolve();
  /** The first line that is still there. */
  first = 0;
  private waiting = new Set<() => void>();

  constructor(
    public lines: number,
    complete: boolean,
    private readonly special: ReadonlyMap<number, Special> = new Map(),
  ) {
    this.complete = complete;
  }

  append(lines: number): void {
    this.lines += lines;
    this.wake();
  }

  /** Retention takes the lines before this one. */
  trim(first: number): void {
    this.first = first;
    this.wake();
  }

  finish(): void {
    this.complete = true;
    this.wake();
  }

  info() {
    const marks = [...this.special].map(([line, { kind }]) => ({ line: BigInt(line), kind })).filter((mark) => mark.kind !== 0 && mark.line < BigInt(this.lines));
    return { id: "fake", sizeBytes: BigInt(this.lines * LINE_BYTES), lines: BigInt(this.lines), complete: this.complete, marks, marksTruncated: false, firstLine: BigInt(this.first), firstOffset: BigInt(this.first * LINE_BYTES), storedBytes: BigInt(Math.ceil(this.lines * 8)), compressed: this.complete };
  }

  read(asked: number, max: number) {
    const from = Math.max(asked, this.first);
    const count = Math.max(0, Math.min(max, this.lines - from));
    return { firstLine: BigInt(from), offset: BigInt(from * LINE_BYTES), ...this.bytes(from, count), lines: count, totalLines: BigInt(this.lines), complete: this.complete, logFirstLine: BigInt(this.first) };
  }

  async *follow(start: { offset: number } | { lastLines: number }, signal: AbortSignal): AsyncGenerator<FollowResponse> {
    let sent = 0;
    const cut = () => {
      sent += 1;
      if (this.cutAfter > 0 && sent > this.cutAfter) throw new Error("cut");
    };
    yield create(FollowResponseSchema, { event: { case: "hello", value: { log: this.info() } } });
    let line = "offset" in start ? start.offset / LINE_BYTES : Math.max(0, this.lines - start.lastLines);
    const wake = { now: () => {} };
    const listener = () => wake.now();
    this.waiting.add(listener);
    signal.addEventListener("abort", listener);
    try {
      while (!signal.aborted) {
        if (line < this.first) {
          line = this.first;
          yield create(FollowResponseSchema, { event: { case: "gap", value: { offset: BigInt(line * LINE_BYTES), firstLine: BigInt(line), reason: "retention" } } });
        } else if (line < this.lines) {
          cut();
          const count = Math.min(10_000, this.lines - line);
          const { data, lineMeta } = this.bytes(line, count);
          yield create(FollowResponseSchema, { event: { case: "data", value: { offset: BigInt(line * LINE_BYTES), firstLine: BigInt(line), data, lineMeta } } });
          line += count;
        } else if (this.complete) {
          yield create(FollowResponseSchema, { event: { case: "end", value: { sizeBytes: BigInt(this.lines * LINE_BYTES), lines: BigInt(this.lines) } } });
          return;
        } else await new Promise<void>((done) => (wake.now = done));
      }
    } finally {
      this.waiting.delete(listener);
    }
  }

  /** Lines with some text, a message for each hundred thousand. */
  async *search({ pattern, regex, caseSensitive, maxLines, follow }: { pattern: string; regex: boolean; caseSensitive: boolean; maxLines: number; follow: boolean }, signal: AbortSignal): AsyncGenerator<MessageInitShape<typeof SearchResponseSchema>> {
    const find = new RegExp(regex ? pattern : pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), caseSensitive ? "g" : "gi");
    let [line, matchingLines, matches, listed] = [this.first, 0, 0, 0];
    for (;;) {
      const hits: { line: bigint; columns: number[] }[] = [];
      const end = Math.min(this.lines, line + SEARCH_STEP_LINES);
      while (line < end) {
        const first = line;
        let text = this.shown(line);
        while (this.special.get(line)?.joined === true) text += this.shown((line += 1));
        line += 1;
        const columns = [...text.matchAll(find)].flatMap((match) => [match.index, match.index + match[0].length]);
        if (columns.length === 0) continue;
        matchingLines += 1;
        matches += columns.length / 2;
        if (listed < maxLines) hits.push({ line: BigInt(first), columns });
        listed += 1;
      }
      const done = line >= this.lines;
      yield { hits, linesSearched: BigInt(line - this.first), linesTotal: BigInt(this.lines - this.first), matchingLines: BigInt(matchingLines), matches: BigInt(matches), truncated: listed > maxLines, done };
      if (done && (!follow || this.complete)) return;
      await this.gate;
      if (done) await this.more(signal);
      else await new Promise((next) => setImmediate(next));
      if (signal.aborted) return;
    }
  }

  private shown(line: number): string {
    const special = this.special.get(line);
    // eslint-disable-next-line no-control-regex -- escape sequences are looked past
    return special === undefined ? `line ${line + 1} `.padEnd(LINE_BYTES - 1, ".") : special.text.replace(/\x1b\[[0-9;]*m/g, "");
  }

  /** Something new, the end, or the signal. */
  private more(signal: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const listener = () => {
        this.waiting.delete(listener);
        done();
      };
      this.waiting.add(listener);
      signal.addEventListener("abort", listener);
    });
  }

  private wake(): void {
    for (const each of this.waiting) each();
  }

  private bytes(from: number, count: number): { data: Uint8Array; lineMeta: Uint8Array } {
    const data = Buffer.alloc(count * LINE_BYTES, ".");
    const lineMeta = Buffer.alloc(count * 8);
    for (let i = 0; i < count; i += 1) {
      const line = from + i;
      const special = this.special.get(line);
      const text = special?.text ?? `line ${line + 1} `;
      data.write(text.padEnd(LINE_BYTES - 1, special === undefined ? "." : " ").slice(0, LINE_BYTES - 1), i * LINE_BYTES, "latin1");
      data[i * LINE_BYTES + LINE_BYTES - 1] = 10;
      const flags = ((special?.kind ?? 0) << 4) | (special?.joined === true ? 8 : 0) | (special?.room === true ? 4 : 0) | (special?.continues === true ? 2 : 0) | (special?.stderr === true ? 1 : 0);
      lineMeta.writeBigUInt64LE((BigInt(START_MS + line) << 16n) | BigInt(flags), i * 8);
    }
    return { data, lineMeta };
  }
}
