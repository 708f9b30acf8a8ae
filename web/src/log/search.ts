// One search in a log, run by the worker: waits until the reader has stopped typing, survives cuts by beginning anew, and
// hands on what it finds in few, compact messages. Knows neither the transport (a port opens the stream) nor the page.
import { backoff, FollowError, type Clock } from "./follow";
import { HitList } from "./hits";
import type { Found, Query, SearchProgress } from "./protocol";

/** So many lines are listed, later ones are counted. Both sides keep them in plain arrays: 4 MB at most. */
export const SEARCH_MAX_LINES = 200_000;
/** Nothing is asked for while the reader types. */
export const TYPING_MS = 120;
/** The page hears of hits at most so often. */
const POST_EVERY_MS = 40;

/** A message of the stream. */
export interface SearchStep {
  hits: readonly { line: number; columns: readonly number[] }[];
  linesSearched: number;
  linesTotal: number;
  matchingLines: number;
  matches: number;
  truncated: boolean;
  done: boolean;
}

export interface SearchPort {
  search(query: Query, maxLines: number, signal: AbortSignal): AsyncIterable<SearchStep>;
}

type Post = (found: Pick<Found, "fresh" | "hits" | "progress">) => void;

/** Searches until all is found, the query is refused, or the signal. */
export async function search(port: SearchPort, query: Query, clock: Clock, signal: AbortSignal, post: Post): Promise<void> {
  await clock.sleep(TYPING_MS, signal);
  const outbox = new Outbox(clock, signal, post);
  let failures = 0;
  while (!signal.aborted) {
    outbox.begin();
    try {
      for await (const step of port.search(query, SEARCH_MAX_LINES, signal)) {
        if (signal.aborted) return;
        failures = 0;
        outbox.take(step);
      }
      outbox.end("done", "");
      return;
    } catch (error) {
      if (signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof FollowError && error.kind !== "retry") {
        outbox.end("failed", message);
        return;
      }
      outbox.end("waiting", message);
    }
    await clock.sleep(backoff(failures, clock.random()), signal);
    failures += 1;
  }
}

/** Gathers hits; the first go out at once, then what has come since, now and then. */
class Outbox {
  private hits = new HitList();
  private fresh = true;
  private dirty = false;
  private resting = false;
  private progress: SearchProgress = { state: "searching", message: "", linesSearched: 0, linesTotal: 0, matchingLines: 0, matches: 0, truncated: false };

  constructor(
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
    private readonly post: Post,
  ) {}

  /** A new attempt: what was found by the one before is found again. */
  begin(): void {
    this.hits = new HitList();
    this.fresh = true;
  }

  take(step: SearchStep): void {
    for (const hit of step.hits) this.hits.push(hit.line, hit.columns);
    const { linesSearched, linesTotal, matchingLines, matches, truncated } = step;
    this.progress = { state: step.done ? "watching" : "searching", message: "", linesSearched, linesTotal, matchingLines, matches, truncated };
    this.send();
  }

  end(state: SearchProgress["state"], message: string): void {
    this.progress = { ...this.progress, state, message };
    // What is on the screen stays there until the next attempt has something.
    this.flush(state === "done" || !this.fresh);
  }

  private send(): void {
    this.dirty = true;
    if (this.resting) return;
    this.flush(true);
    this.resting = true;
    this.clock.timer(POST_EVERY_MS, () => {
      this.resting = false;
      if (this.dirty) this.send();
    });
  }

  private flush(withHits: boolean): void {
    if (this.signal.aborted) return;
    this.dirty = false;
    const fresh = withHits && this.fresh;
    if (withHits) this.fresh = false;
    this.post({ fresh, hits: this.hits.take(), progress: this.progress });
  }
}
