// The page's side of a search: what was found, which hit is the current one, and where to go for the next. Knows
// numbers only: no DOM, no worker.
import { HitList } from "./hits";
import type { Found, Query, SearchProgress } from "./protocol";

/** How a search stands, for the bar. */
export interface FindStatus extends SearchProgress {
  /** The current hit, from 0; -1: none yet. */
  current: number;
  /** How many of the lines are listed, and can be gone to. */
  listed: number;
}

const BEGUN: SearchProgress = { state: "searching", message: "", linesSearched: 0, linesTotal: 0, matchingLines: 0, matches: 0, truncated: false };

export class Find {
  hits = new HitList();
  query: Query | undefined;
  /** Changes with the hits. */
  version = 0;
  /** Changes when hits that were known are none any more. */
  generation = 0;
  private id = 0;
  private progress = BEGUN;
  private current = -1;
  /** The first hit at this line or behind it becomes the current one, as soon as it is known. */
  private wanted: { line: number; jump: boolean } | undefined;

  /** Looks for something else, or for nothing. From this line on the first hit is the current one. Answers the search's number. */
  begin(query: Query | undefined, line: number, jump: boolean): number {
    this.id += 1;
    this.query = query;
    this.hits = new HitList();
    this.version += 1;
    this.generation += 1;
    this.progress = BEGUN;
    this.current = -1;
    this.wanted = query === undefined ? undefined : { line, jump };
    return this.id;
  }

  /** Takes what was found. Answers the line to go to, if there is one. */
  take(found: Found): number | undefined {
    if (found.search !== this.id || this.query === undefined) return undefined;
    if (found.fresh && this.hits.visible > 0) {
      const at = this.currentLine;
      this.hits = new HitList();
      this.generation += 1;
      this.current = -1;
      this.wanted ??= at === undefined ? undefined : { line: at, jump: false };
    }
    this.progress = found.progress;
    if (found.hits.lines.length > 0 || found.fresh) {
      this.hits.add(found.hits);
      this.version += 1;
    }
    return this.arrive();
  }

  get currentLine(): number | undefined {
    return this.current < 0 ? undefined : this.hits.lineAt(this.current);
  }

  /** The next hit, or the one before. Answers its line. */
  step(direction: 1 | -1): number | undefined {
    const count = this.hits.visible;
    if (count === 0) return undefined;
    this.wanted = undefined;
    const next = this.current < 0 ? (direction === 1 ? 0 : count - 1) : this.current + direction;
    // While it searches, the end of the list is not the end.
    if (next >= count && this.progress.state === "searching") return undefined;
    return this.goTo((next + count) % count);
  }

  /** Makes a hit the current one. Answers its line. */
  goTo(place: number): number {
    this.current = place;
    this.wanted = undefined;
    return this.hits.lineAt(place);
  }

  status(): FindStatus | undefined {
    return this.query === undefined ? undefined : { ...this.progress, current: this.current, listed: this.hits.visible };
  }

  private arrive(): number | undefined {
    const { wanted, hits } = this;
    if (wanted === undefined || hits.visible === 0) return undefined;
    const place = hits.placeOf(wanted.line);
    const over = this.progress.state !== "searching" && this.progress.state !== "waiting";
    if (place === hits.visible && !over) return undefined;
    const line = this.goTo(place === hits.visible ? 0 : place);
    return wanted.jump ? line : undefined;
  }
}
