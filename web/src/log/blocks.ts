// The lines of a log that are at hand, in blocks of fixed line numbers, the least recently used dropped first. Knows
// bytes and line numbers; neither where they come from nor what they look like.

/** Lines of a block; the server's own line index has the same grain, so a block read is one seek there. */
export const BLOCK_LINES = 256;
export const CACHE_MAX_BYTES = 32 * 1024 * 1024;
/** What a block costs beside its bytes. */
const BLOCK_OVERHEAD_BYTES = 256;
const SEGMENTS_MAX = 24;
const META_BYTES = 8;

/** A line at hand. */
export interface CachedLine {
  bytes: Uint8Array;
  time: number;
  flags: number;
}

interface Segment {
  first: number;
  lines: number;
  bytes: Uint8Array;
  /** Where each line begins, and the end of the last. */
  starts: Uint32Array;
  meta: Uint8Array;
}

interface Block {
  segments: Segment[];
  cost: number;
}

/** A range of line numbers, the end not included. */
export interface LineRange {
  from: number;
  to: number;
}

/** Lines by number. */
export class BlockCache {
  private readonly blocks = new Map<number, Block>();
  private pinned: LineRange[] = [];
  private cost = 0;

  constructor(private readonly maxBytes = CACHE_MAX_BYTES) {}

  get bytes(): number {
    return this.cost;
  }

  /** Adds consecutive lines; answers how many there were. What is there already stays. */
  put(first: number, data: Uint8Array, meta: Uint8Array): number {
    const starts = lineStarts(data);
    const lines = starts.length - 1;
    let done = 0;
    while (done < lines) {
      const index = Math.floor((first + done) / BLOCK_LINES);
      const count = Math.min(lines - done, (index + 1) * BLOCK_LINES - first - done);
      this.add(index, slice({ first, lines, bytes: data, starts, meta }, done, count));
      done += count;
    }
    this.evict();
    return lines;
  }

  has(line: number): boolean {
    return this.find(line) !== undefined;
  }

  /** The line, if it is at hand; its block counts as used. */
  line(line: number): CachedLine | undefined {
    const segment = this.find(line);
    if (segment === undefined) return undefined;
    const index = Math.floor(line / BLOCK_LINES);
    const block = this.blocks.get(index);
    if (block !== undefined) {
      this.blocks.delete(index);
      this.blocks.set(index, block);
    }
    const at = line - segment.first;
    const bytes = segment.bytes.subarray(segment.starts[at], segment.starts[at + 1]);
    return { bytes, ...readMeta(segment.meta, at) };
  }

  /** Lines that are never dropped: what is on the screen. */
  pin(ranges: LineRange[]): void {
    this.pinned = ranges;
  }

  clear(): void {
    this.blocks.clear();
    this.cost = 0;
  }

  private find(line: number): Segment | undefined {
    const block = this.blocks.get(Math.floor(line / BLOCK_LINES));
    return block?.segments.find((segment) => line >= segment.first && line < segment.first + segment.lines);
  }

  private add(index: number, segment: Segment): void {
    const block = this.blocks.get(index) ?? { segments: [], cost: BLOCK_OVERHEAD_BYTES };
    if (!this.blocks.has(index)) {
      this.blocks.set(index, block);
      this.cost += BLOCK_OVERHEAD_BYTES;
    }
    const before = block.cost;
    block.segments = join(block.segments, segment);
    if (block.segments.length > SEGMENTS_MAX) block.segments = [merge(block.segments)];
    block.cost = BLOCK_OVERHEAD_BYTES + block.segments.reduce((sum, each) => sum + segmentCost(each), 0);
    this.cost += block.cost - before;
  }

  private evict(): void {
    if (this.cost <= this.maxBytes) return;
    for (const [index, block] of this.blocks) {
      if (this.cost <= this.maxBytes) return;
      const from = index * BLOCK_LINES;
      if (this.pinned.some((range) => range.from < from + BLOCK_LINES && range.to > from)) continue;
      this.blocks.delete(index);
      this.cost -= block.cost;
    }
  }
}

/** Reads the word of a line: Unix milliseconds << 16 | flags, little-endian; without BigInt, which is slow. */
export function readMeta(meta: Uint8Array, at: number): { time: number; flags: number } {
  const i = at * META_BYTES;
  if (i + META_BYTES > meta.length) return { time: 0, flags: 0 };
  const b = (n: number) => meta[i + n] ?? 0;
  const low = b(2) | (b(3) << 8);
  const mid = b(4) | (b(5) << 8);
  const high = b(6) | (b(7) << 8);
  return { time: low + mid * 0x10000 + high * 0x100000000, flags: b(0) | (b(1) << 8) };
}

/** Where each line of data begins; the last entry is its end. A last line without an end counts. */
export function lineStarts(data: Uint8Array): Uint32Array {
  let count = 0;
  for (let at = data.indexOf(10); at !== -1; at = data.indexOf(10, at + 1)) count += 1;
  if (data.length > 0 && data[data.length - 1] !== 10) count += 1;
  const starts = new Uint32Array(count + 1);
  let line = 0;
  for (let at = data.indexOf(10); at !== -1; at = data.indexOf(10, at + 1)) {
    line += 1;
    starts[line] = at + 1;
  }
  starts[count] = data.length;
  return starts;
}

function segmentCost(segment: Segment): number {
  return segment.bytes.length + segment.starts.byteLength + segment.meta.length;
}

/** A copy of some lines: a view would keep the whole message it came in alive. */
function slice(segment: Segment, skip: number, count: number): Segment {
  const from = segment.starts[skip] ?? 0;
  const to = segment.starts[skip + count] ?? segment.bytes.length;
  const starts = segment.starts.slice(skip, skip + count + 1);
  for (let i = 0; i < starts.length; i += 1) starts[i] = (starts[i] ?? 0) - from;
  return {
    first: segment.first + skip,
    lines: count,
    bytes: segment.bytes.slice(from, to),
    starts,
    meta: segment.meta.slice(skip * META_BYTES, (skip + count) * META_BYTES),
  };
}

/** Segments of a block are one unbroken run of lines, in order, none twice. */
function join(segments: Segment[], next: Segment): Segment[] {
  const head = segments[0];
  const tail = segments.at(-1);
  if (head === undefined || tail === undefined) return [next];
  const from = head.first;
  const to = tail.first + tail.lines;
  const end = next.first + next.lines;
  if (next.first >= from && end <= to) return segments;
  if (next.first <= from && end >= to) return [next];
  if (next.first > to || end < from) return [next];
  if (end > to) return [...segments, slice(next, to - next.first, end - to)];
  return [slice(next, 0, from - next.first), ...segments];
}

function merge(segments: Segment[]): Segment {
  const lines = segments.reduce((sum, each) => sum + each.lines, 0);
  const bytes = new Uint8Array(segments.reduce((sum, each) => sum + each.bytes.length, 0));
  const meta = new Uint8Array(lines * META_BYTES);
  const starts = new Uint32Array(lines + 1);
  let line = 0;
  let at = 0;
  for (const segment of segments) {
    bytes.set(segment.bytes, at);
    meta.set(segment.meta.subarray(0, segment.lines * META_BYTES), line * META_BYTES);
    for (let i = 0; i < segment.lines; i += 1) starts[line + i] = at + (segment.starts[i] ?? 0);
    line += segment.lines;
    at += segment.bytes.length;
  }
  starts[lines] = at;
  return { first: segments[0]?.first ?? 0, lines, bytes, starts, meta };
}
