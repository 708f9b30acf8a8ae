// A live tail that survives cuts: whatever happens to the connection, each byte of the log is handed on once and in
// order. Knows neither the transport (a port opens a stream) nor what becomes of the lines.

/** A mark as the protocol lists it. */
export interface Mark {
  kind: number;
  line: number;
}

/** What is known of a log as a whole. */
export interface LogInfo {
  lines: number;
  sizeBytes: number;
  complete: boolean;
  marks: Mark[];
  marksTruncated: boolean;
  /** The first line that is still there, and where it begins. */
  firstLine: number;
  firstOffset: number;
}

export type FollowStart = { offset: number } | { lastLines: number };

export type FollowEvent =
  | { type: "hello"; log: LogInfo }
  | { type: "data"; offset: number; firstLine: number; data: Uint8Array; meta: Uint8Array }
  | { type: "gap"; offset: number; firstLine: number; reason: string }
  | { type: "heartbeat"; sizeBytes: number }
  | { type: "end"; sizeBytes: number; lines: number };

/** Why a stream could not be opened or broke off, and whether another try can mend it ("soon": what is asked for is about to exist). */
export class FollowError extends Error {
  constructor(
    readonly kind: "fatal" | "retry" | "soon",
    message: string,
  ) {
    super(message);
  }
}

export interface FollowPort {
  open(start: FollowStart, signal: AbortSignal): AsyncIterable<FollowEvent>;
}

export type Connection = "connecting" | "live" | "waiting" | "ended" | "failed";

export interface FollowSink {
  hello(log: LogInfo): void;
  data(firstLine: number, data: Uint8Array, meta: Uint8Array): void;
  /** Some lines are gone; it goes on with this one, at this byte. */
  gap(fromLine: number, toLine: number, toOffset: number, reason: string): void;
  end(lines: number, sizeBytes: number): void;
  connection(state: Connection, message: string): void;
}

/** Time and chance, passed in so that tests own them. */
export interface Clock {
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Calls back once after so long, unless the function it answers with is called before. */
  timer(ms: number, then: () => void): () => void;
  random(): number;
}

/** The server sends something at least each 15 s; after three missed ones the stream counts as dead. */
export const SILENCE_MAX_MS = 45_000;
export const BACKOFF_FIRST_MS = 250;
export const BACKOFF_MAX_MS = 10_000;
/** A step that has just begun has its log in a moment. */
export const SOON_MS = 400;

/** Follows until the log is complete, a fatal error, or the signal. */
export async function follow(port: FollowPort, start: FollowStart, sink: FollowSink, clock: Clock, signal: AbortSignal): Promise<void> {
  const place = new Place(start, sink);
  let failures = 0;
  while (!signal.aborted) {
    sink.connection("connecting", "");
    let why = "The stream ended early.";
    let soon = false;
    try {
      const got = await once(port, place, sink, clock, signal);
      if (got.ended) {
        sink.connection("ended", "");
        return;
      }
      if (got.progress) failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      why = error instanceof Error ? error.message : String(error);
      if (error instanceof FollowError && error.kind === "fatal") {
        sink.connection("failed", why);
        return;
      }
      soon = error instanceof FollowError && error.kind === "soon";
      if (place.takeProgress()) failures = 0;
    }
    if (signal.aborted) return;
    sink.connection(soon ? "connecting" : "waiting", why);
    await clock.sleep(soon ? SOON_MS : backoff(failures, clock.random()), signal);
    failures += 1;
  }
}

/** A wait that doubles with each failure, half of it by chance, so that a thousand tabs don't come back at once. */
export function backoff(failures: number, random: number): number {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 16));
  return full / 2 + (full / 2) * random;
}

async function once(port: FollowPort, place: Place, sink: FollowSink, clock: Clock, signal: AbortSignal): Promise<{ ended: boolean; progress: boolean }> {
  const stream = new AbortController();
  const stop = () => stream.abort();
  signal.addEventListener("abort", stop);
  let cancel = clock.timer(SILENCE_MAX_MS, stop);
  try {
    for await (const event of port.open(place.start(), stream.signal)) {
      if (signal.aborted) break;
      cancel();
      cancel = clock.timer(SILENCE_MAX_MS, stop);
      if (place.take(event)) return { ended: true, progress: true };
      if (event.type === "hello") sink.connection("live", "");
    }
    return { ended: false, progress: place.takeProgress() };
  } finally {
    cancel();
    signal.removeEventListener("abort", stop);
    stream.abort();
  }
}

/** Where in the log we are. */
class Place {
  private offset: number | undefined;
  private line = 0;
  private progress = false;

  constructor(
    private readonly first: FollowStart,
    private readonly sink: FollowSink,
  ) {
    if ("offset" in first) this.offset = first.offset;
  }

  start(): FollowStart {
    return this.offset === undefined ? this.first : { offset: this.offset };
  }

  /** Whether anything new came since the last call. */
  takeProgress(): boolean {
    const was = this.progress;
    this.progress = false;
    return was;
  }

  /** Takes an event; true when it was the last one. */
  take(event: FollowEvent): boolean {
    switch (event.type) {
      case "hello":
        // An empty log has only one place to go on from.
        if (this.offset === undefined && event.log.sizeBytes === 0) this.offset = 0;
        this.progress = true;
        this.sink.hello(event.log);
        return false;
      case "data":
        this.data(event.offset, event.firstLine, event.data, event.meta);
        return false;
      case "gap":
        if (this.offset === undefined || event.offset > this.offset) {
          this.sink.gap(this.line, event.firstLine, event.offset, event.reason);
          this.offset = event.offset;
          this.line = event.firstLine;
        }
        return false;
      case "heartbeat":
        return false;
      case "end":
        this.sink.end(event.lines, event.sizeBytes);
        return true;
    }
  }

  private data(offset: number, firstLine: number, data: Uint8Array, meta: Uint8Array): void {
    const from = this.offset ?? offset;
    if (offset > from) throw new FollowError("retry", `The server skipped from byte ${from} to ${offset}.`);
    const skip = from - offset;
    if (skip >= data.length) return;
    const repeated = skip === 0 ? 0 : countLines(data.subarray(0, skip));
    this.sink.data(firstLine + repeated, skip === 0 ? data : data.subarray(skip), repeated === 0 ? meta : meta.subarray(repeated * 8));
    this.offset = offset + data.length;
    this.line = firstLine + repeated + countLines(data.subarray(skip));
    this.progress = true;
  }
}

function countLines(data: Uint8Array): number {
  let count = 0;
  for (let at = data.indexOf(10); at !== -1; at = data.indexOf(10, at + 1)) count += 1;
  return count;
}
