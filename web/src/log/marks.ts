// The marks of a log that are known: how many errors and warnings there are, and which is next. Knows numbers only.
import type { Mark } from "./follow";
import { KIND_ERROR, KIND_WARNING } from "./row";

export class Marks {
  /** In the order of lines; another array each time something is added. */
  all: readonly Mark[] = [];
  errors = 0;
  warnings = 0;

  add(marks: readonly Mark[]): void {
    if (marks.length === 0) return;
    this.all = [...this.all, ...marks];
    for (const { kind } of marks) {
      if (kind === KIND_ERROR) this.errors += 1;
      else if (kind === KIND_WARNING) this.warnings += 1;
    }
  }

  get firstError(): number | undefined {
    return this.all.find((mark) => mark.kind === KIND_ERROR)?.line;
  }

  /** The next error behind a line, or the one before it, around the end; a warning when there is no error at all. */
  next(direction: 1 | -1, from: number | undefined): number | undefined {
    const kind = this.errors > 0 ? KIND_ERROR : KIND_WARNING;
    const lines = this.all.filter((mark) => mark.kind === kind).map((mark) => mark.line);
    if (direction === 1) return lines.find((line) => line > (from ?? -1)) ?? lines[0];
    return lines.findLast((line) => line < (from ?? Number.MAX_SAFE_INTEGER)) ?? lines.at(-1);
  }
}
