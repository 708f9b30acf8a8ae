// The lines that a search found, in plain arrays of numbers: a million of them must not cost a million objects. Also the
// places of a log of which only these lines are shown. Knows neither where they come from nor how they look.

/** Hits as they travel: lines in order, and the pairs of columns of all of them one after the other. */
export interface HitChunk {
  lines: Float64Array;
  /** For each line: where its columns end in `columns`. */
  ends: Uint32Array;
  columns: Uint32Array;
}

export const NO_HITS: HitChunk = { lines: new Float64Array(0), ends: new Uint32Array(0), columns: new Uint32Array(0) };

/** Hits in the order of lines. */
export class HitList {
  private readonly lines = new Growing((length) => new Float64Array(length));
  private readonly ends = new Growing((length) => new Uint32Array(length));
  private readonly pairs = new Growing((length) => new Uint32Array(length));

  add({ lines, ends, columns }: HitChunk): void {
    const base = this.pairs.length;
    this.lines.append(lines);
    this.ends.append(ends.map((end) => end + base));
    this.pairs.append(columns);
  }

  /** How many lines: as a list of places, how many are shown. */
  get visible(): number {
    return this.lines.length;
  }

  /** What the arrays take. */
  get bytes(): number {
    return this.lines.bytes + this.ends.bytes + this.pairs.bytes;
  }

  lineAt(place: number): number {
    return this.lines.at(place);
  }

  /** The place of the first hit in this line or a later one. */
  placeOf(line: number): number {
    let low = 0;
    let high = this.lines.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.lines.at(mid) < line) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  /** The place of the hit in exactly this line, or -1. */
  find(line: number): number {
    const place = this.placeOf(line);
    return place < this.visible && this.lines.at(place) === line ? place : -1;
  }

  /** Begin and end, begin and end … */
  columns(place: number): Uint32Array {
    return this.pairs.slice(place === 0 ? 0 : this.ends.at(place - 1), this.ends.at(place));
  }

  /** What it has as one chunk, and none of it any more. */
  take(): HitChunk {
    const chunk = { lines: this.lines.slice(0, this.lines.length), ends: this.ends.slice(0, this.ends.length), columns: this.pairs.slice(0, this.pairs.length) };
    for (const each of [this.lines, this.ends, this.pairs]) each.length = 0;
    return chunk;
  }

  /** Adds one line. */
  push(line: number, columns: readonly number[]): void {
    for (const column of columns) this.pairs.push(column);
    this.lines.push(line);
    this.ends.push(this.pairs.length);
  }
}

const FIRST_LENGTH = 256;

/** An array of numbers that doubles when it is full. */
class Growing<T extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
  length = 0;
  private items: T;

  constructor(private readonly make: (length: number) => T) {
    this.items = make(0);
  }

  get bytes(): number {
    return this.items.byteLength;
  }

  at(index: number): number {
    return this.items[index] ?? 0;
  }

  push(value: number): void {
    this.reserve(1);
    this.items[this.length] = value;
    this.length += 1;
  }

  append(values: ArrayLike<number>): void {
    this.reserve(values.length);
    this.items.set(values, this.length);
    this.length += values.length;
  }

  slice(from: number, to: number): T {
    return this.items.slice(from, to) as T;
  }

  private reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.items.length) return;
    const items = this.make(Math.max(FIRST_LENGTH, needed, this.items.length * 2));
    items.set(this.items.subarray(0, this.length));
    this.items = items;
  }
}
