// Which lines are hidden by folded groups, and the way between a line's number and its place among the shown ones.
// Knows numbers only.
import { KIND_ENDGROUP, KIND_GROUP } from "./row";
import type { Mark } from "./follow";

/** A group: its first line (the title) and the last it covers; open-ended while the log grows. */
export interface Group {
  start: number;
  /** The last line of the group, its end mark if it has one. */
  last: number;
}

/** Groups don't nest: a new one ends the one before, as people know it from elsewhere. */
export class Folds {
  private readonly folded = new Set<number>();
  private groups: Group[] = [];
  private hidden: { from: number; to: number; before: number }[] = [];
  private lines = 0;
  /** The last group has no end yet: it grows with the log. */
  private openEnded = false;
  private marks: readonly Mark[] = [];
  private removed = 0;

  /**
   * Takes the marks (groups and ends, in the order of lines) and the length of the log. Of the lines before `removed`,
   * which the server no longer has, the first stands for all.
   */
  update(marks: readonly Mark[], lines: number, removed = 0): void {
    if (marks === this.marks && lines === this.lines && removed === this.removed) return;
    const changed = marks !== this.marks || removed !== this.removed;
    this.marks = marks;
    this.lines = lines;
    this.removed = removed;
    if (changed || this.openEnded) this.rebuild();
  }

  /** How many lines are shown. */
  get visible(): number {
    const last = this.hidden.at(-1);
    return last === undefined ? this.lines : this.lines - last.before - (last.to - last.from);
  }

  get all(): readonly Group[] {
    return this.groups;
  }

  isFolded(start: number): boolean {
    return this.folded.has(start);
  }

  toggle(start: number): void {
    if (!this.folded.delete(start)) this.folded.add(start);
    this.rebuild();
  }

  foldAll(fold: boolean): void {
    this.folded.clear();
    if (fold) for (const group of this.groups) this.folded.add(group.start);
    this.rebuild();
  }

  /** Unfolds what hides a line. */
  reveal(line: number): void {
    const group = this.groupOf(line);
    if (group !== undefined && group.start !== line && this.folded.delete(group.start)) this.rebuild();
  }

  /** The group that a line is in. */
  groupOf(line: number): Group | undefined {
    const i = lastAtOrBefore(this.groups, line, (group) => group.start);
    const group = this.groups[i];
    return group !== undefined && line <= group.last ? group : undefined;
  }

  /** The line at a place among the shown ones. */
  lineAt(place: number): number {
    const i = lastAtOrBefore(this.hidden, place, (range) => range.from - range.before);
    const range = this.hidden[i];
    return range === undefined ? place : place + range.before + (range.to - range.from);
  }

  /** The place of a line among the shown ones; a hidden line has that of the next shown one. */
  placeOf(line: number): number {
    const i = lastAtOrBefore(this.hidden, line, (range) => range.from);
    const range = this.hidden[i];
    if (range === undefined) return line;
    return line < range.to ? range.from - range.before : line - range.before - (range.to - range.from);
  }

  private rebuild(): void {
    this.groups = [];
    this.hidden = [];
    let open: Group | undefined;
    const close = (last: number, ended: boolean) => {
      if (open === undefined) return;
      const group = { start: open.start, last };
      open = undefined;
      this.groups.push(group);
      if (this.folded.has(group.start)) this.hide(group.start + 1, last + 1);
      // The end mark itself says nothing to a reader.
      else if (ended) this.hide(last, last + 1);
    };
    this.hide(1, Math.min(this.removed, this.lines));
    for (const mark of this.marks) {
      if (mark.line < this.removed) continue;
      if (mark.line >= this.lines) break;
      if (mark.kind === KIND_GROUP) {
        close(mark.line - 1, false);
        open = { start: mark.line, last: mark.line };
      } else if (mark.kind === KIND_ENDGROUP) {
        if (open === undefined) this.hide(mark.line, mark.line + 1);
        else close(mark.line, true);
      }
    }
    this.openEnded = open !== undefined;
    close(this.lines - 1, false);
  }

  private hide(from: number, to: number): void {
    if (to <= from) return;
    const last = this.hidden.at(-1);
    if (last !== undefined && last.to === from) last.to = to;
    else this.hidden.push({ from, to, before: last === undefined ? 0 : last.before + (last.to - last.from) });
  }
}

function lastAtOrBefore<T>(items: readonly T[], value: number, key: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    const item = items[mid];
    if (item !== undefined && key(item) <= value) low = mid + 1;
    else high = mid;
  }
  return low - 1;
}
