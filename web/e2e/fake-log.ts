// A log that is made up as it is asked for, or appended to as a test says; its streams can be cut.
import type { FollowResponse } from "../src/gen/millrace/v1/log_pb.js";
import { FollowResponseSchema } from "../src/gen/millrace/v1/log_pb.js";
import { create } from "@bufbuild/protobuf";

const LINE_BYTES = 96;
const START_MS = 1_790_000_000_000;

/** Lines of one length, so that offsets are a multiplication; the text of line n begins with "line n+1 ". */
export class FakeLog {
  complete: boolean;
  /** Follow streams end with an error after so many messages; 0: never. */
  cutAfter = 0;
  private waiting = new Set<() => void>();

  constructor(
    public lines: number,
    complete: boolean,
    private readonly special: ReadonlyMap<number, { text: string; kind: number; stderr?: boolean }> = new Map(),
  ) {
    this.complete = complete;
  }

  append(lines: number): void {
    this.lines += lines;
    this.wake();
  }

  finish(): void {
    this.complete = true;
    this.wake();
  }

  info() {
    const marks = [...this.special].map(([line, { kind }]) => ({ line: BigInt(line), kind })).filter((mark) => mark.kind !== 0 && mark.line < BigInt(this.lines));
    return { id: "fake", sizeBytes: BigInt(this.lines * LINE_BYTES), lines: BigInt(this.lines), complete: this.complete, marks, marksTruncated: false };
  }

  read(from: number, max: number) {
    const count = Math.max(0, Math.min(max, this.lines - from));
    return { firstLine: BigInt(from), offset: BigInt(from * LINE_BYTES), ...this.bytes(from, count), lines: count, totalLines: BigInt(this.lines), complete: this.complete };
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
        if (line < this.lines) {
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
      const flags = ((special?.kind ?? 0) << 4) | (special?.stderr === true ? 1 : 0);
      lineMeta.writeBigUInt64LE((BigInt(START_MS + line) << 16n) | BigInt(flags), i * 8);
    }
    return { data, lineMeta };
  }
}
