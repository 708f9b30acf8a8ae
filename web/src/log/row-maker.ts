// What each row looks like by now: its text or a stand-in, its times, its fold, the hits of a search in it, and whether
// it is a line of its own or goes on the one before. Knows the rows at hand; not where they stand.
import type { Find } from "./find";
import type { Folds } from "./folds";
import type { Removed } from "./protocol";
import { FLAG_JOINED, KIND_GROUP, length, type Row } from "./row";
import { pendingRow, removedRow, rowElement, type TimeMode } from "./row-dom";

/** A row of the longest record has no more pieces. */
const PIECES_MAX = 64;
/** Of what was printed over, any place may be meant. */
const ALL = Uint32Array.of(0, 0xffffffff);

export class RowMaker {
  /** Lines at hand. */
  readonly rows = new Map<number, Row>();
  time: TimeMode = "off";
  origin = 0;
  removed: Removed = { lines: 0, bytes: 0, reason: "" };

  constructor(
    private folds: Folds,
    private readonly find: Find,
  ) {}

  /** Another log. */
  reset(folds: Folds, origin: number): void {
    this.folds = folds;
    this.origin = origin;
    this.rows.clear();
    this.removed = { lines: 0, bytes: 0, reason: "" };
  }

  key(line: number): string {
    if (line < this.removed.lines) return `removed${this.removed.lines}`;
    const row = this.rows.get(line);
    if (row === undefined) return "pending";
    const hit = this.hitOf(line);
    const found = hit < 0 ? "" : `h${this.find.generation}${this.isCurrent(hit) ? "!" : ""}`;
    const fold = row.kind === KIND_GROUP ? `${this.folds.isFolded(line)}${this.groupLines(line)}` : "";
    return `${this.time}${fold}${this.goesOn(line) ? "j" : ""}${found}`;
  }

  make(line: number): HTMLElement {
    if (line < this.removed.lines) return removedRow(line, this.removed);
    const row = this.rows.get(line);
    if (row === undefined) return pendingRow(line);
    if (this.origin === 0) this.origin = line === this.removed.lines ? row.time : 0;
    const hit = this.hitOf(line);
    return rowElement(row, {
      time: this.time,
      origin: this.origin,
      folded: this.folds.isFolded(line),
      groupLines: this.groupLines(line),
      goesOn: this.goesOn(line),
      hits: hit < 0 ? undefined : this.columns(row, hit),
      current: this.isCurrent(hit),
    });
  }

  /** Whether a line is the next piece of the one before it. */
  goesOn(line: number): boolean {
    return ((this.rows.get(line - 1)?.flags ?? 0) & FLAG_JOINED) !== 0;
  }

  private isCurrent(hit: number): boolean {
    return hit >= 0 && this.find.currentLine === this.find.hits.lineAt(hit);
  }

  private groupLines(line: number): number {
    const group = this.folds.isFolded(line) ? this.folds.groupOf(line) : undefined;
    return group === undefined ? 0 : group.last - group.start;
  }

  /** The place of the hit in a line, of which this may be a later piece; -1: none. */
  private hitOf(line: number): number {
    if (this.find.query === undefined) return -1;
    return this.find.hits.find(this.firstPiece(line));
  }

  private firstPiece(line: number): number {
    let first = line;
    while (line - first < PIECES_MAX && this.goesOn(first)) first -= 1;
    return first;
  }

  /** Where in this row's own text the hits are. */
  private columns(row: Row, hit: number): Uint32Array {
    const columns = this.find.hits.columns(hit);
    if (row.rewritten) return ALL;
    let before = row.lead;
    for (let line = this.firstPiece(row.line); line < row.line; line += 1) before += this.rows.get(line)?.units ?? 0;
    const shown = row.cutBytes > 0 ? Number.MAX_SAFE_INTEGER : length(row.spans);
    const own: number[] = [];
    for (let i = 0; i + 1 < columns.length; i += 2) {
      const from = Math.max(0, (columns[i] ?? 0) - before);
      const to = Math.min(shown, (columns[i + 1] ?? 0) - before);
      if (to > from) own.push(from, to);
    }
    return Uint32Array.from(own);
  }
}
