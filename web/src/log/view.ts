// The log on the screen: which rows are in the DOM, where they stand, following, folding, selecting. Draws at most once
// an animation frame. Knows the DOM and the worker's messages; no React, no transport.
import type { LineRange } from "./blocks";
import type { Mark } from "./follow";
import { Folds } from "./folds";
import type { FromWorker, Opening, ToWorker, Update } from "./protocol";
import { clickLines, type Lines } from "./range";
import { KIND_ERROR, KIND_GROUP, KIND_WARNING, type Row } from "./row";
import { goneRow, pendingRow, rowElement, type TimeMode } from "./row-dom";
import { ScrollMap } from "./scroll";
import { isSelecting, selectedText } from "./selection";
import type { LogViewHost, OpenLog, ViewStatus } from "./view-host";

export const ROW_PX = 20;
const PAD_PX = 24;
const OVERSCAN_ROWS = 24;
/** With the overscan there are at most so many rows in the DOM. */
const VISIBLE_MAX_ROWS = 150;
const PREFETCH_ROWS = 100;
const SETTLE_MS = 160;

let sessions = 0;

export class LogView {
  private readonly spacer = document.createElement("div");
  private readonly rowsEl = document.createElement("div");
  private readonly map = new ScrollMap(ROW_PX, PAD_PX);
  private folds = new Folds();
  private session = 0;
  private rows = new Map<number, Row>();
  private marks: Mark[] = [];
  private errors = 0;
  private warnings = 0;
  private state: Update | undefined;
  private following = false;
  private linesAtPause = 0;
  private pending: Opening | undefined;
  private lines: Lines | undefined;
  private time: TimeMode = "off";
  private origin = 0;
  private shape = { visible: 0, height: 0 };
  private frame = 0;
  private settleTimer = 0;
  private lastView = "";
  private asked: { ranges: LineRange[]; tail: number } = { ranges: [], tail: 0 };
  private lastStatus = "";
  private ackDue = false;
  private drawn = new Map<number, { el: HTMLElement; key: string }>();
  private requests = new Map<number, (result: { text: string; truncated: boolean }) => void>();
  private nextRequest = 1;
  private readonly off: (() => void)[] = [];

  constructor(
    private readonly el: HTMLElement,
    private readonly host: LogViewHost,
  ) {
    this.spacer.className = "log-spacer";
    this.rowsEl.className = "log-rows";
    this.spacer.append(this.rowsEl);
    el.replaceChildren(this.spacer);
    host.worker.onmessage = ({ data }) => this.receive(data);
    const resize = new ResizeObserver(() => this.draw());
    resize.observe(el);
    this.off.push(() => resize.disconnect());
    this.listen(el, "scroll", () => this.onScroll(), { passive: true });
    this.listen(el, "click", (event) => this.onClick(event as MouseEvent));
    this.listen(el, "keydown", (event) => this.onKey(event as KeyboardEvent));
    this.listen(el, "copy", (event) => this.onCopy(event as ClipboardEvent));
    this.listen(document, "selectionchange", () => this.onSelection());
  }

  /** Shows another log. */
  open(log: OpenLog): void {
    sessions += 1;
    this.session = sessions;
    this.rows.clear();
    this.drawn.clear();
    this.rowsEl.replaceChildren();
    this.spacer.style.minWidth = "";
    this.folds = new Folds();
    this.marks = [];
    this.errors = 0;
    this.warnings = 0;
    this.state = undefined;
    this.ackDue = false;
    this.lastView = "";
    this.asked = { ranges: [], tail: 0 };
    this.lastStatus = "";
    this.origin = log.origin;
    this.pending = log.opening;
    this.following = log.live && log.opening.at === "tail";
    this.map.resize(0, this.el.clientHeight);
    this.map.moveTo(0);
    this.send({ type: "open", session: this.session, logId: log.logId, live: log.live, opening: log.opening });
    this.draw();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settleTimer);
    for (const off of this.off) off();
    this.send({ type: "close" });
    this.host.worker.onmessage = null;
  }

  setTime(mode: TimeMode): void {
    if (this.time === mode) return;
    this.time = mode;
    this.draw();
  }

  /** Which lines are marked (from 1); with `jump` they are brought to the eye. */
  setLines(lines: Lines | undefined, jump: boolean): void {
    this.lines = lines;
    if (jump && lines !== undefined) this.goTo(lines.first - 1);
    this.draw();
  }

  follow(): void {
    this.following = true;
    this.pending = undefined;
    getSelection()?.removeAllRanges();
    this.scrollTo(this.map.maxTop);
  }

  pause(): void {
    if (!this.following) return;
    this.following = false;
    this.linesAtPause = this.state?.lines ?? 0;
    this.draw();
  }

  /** Brings a line (from 0) a third down the window. */
  goTo(line: number): void {
    this.pause();
    this.folds.reveal(line);
    this.resizeMap();
    this.scrollTo(this.folds.placeOf(line) * ROW_PX - Math.floor(this.el.clientHeight / 3 / ROW_PX) * ROW_PX);
  }

  /** Goes to the next (or former) error, or to a warning when there is no error at all. Answers its line from 1. */
  nextMark(direction: 1 | -1): number | undefined {
    const errors = this.marks.some((mark) => mark.kind === KIND_ERROR);
    const kind = errors ? KIND_ERROR : KIND_WARNING;
    const lines = this.marks.filter((mark) => mark.kind === kind).map((mark) => mark.line);
    if (lines.length === 0) return undefined;
    const from = this.lines === undefined ? (direction === 1 ? -1 : Number.MAX_SAFE_INTEGER) : this.lines.first - 1;
    const next = direction === 1 ? (lines.find((line) => line > from) ?? lines[0]) : (lines.findLast((line) => line < from) ?? lines.at(-1));
    if (next === undefined) return undefined;
    this.select({ first: next + 1, last: next + 1 });
    this.goTo(next);
    return next + 1;
  }

  foldAll(fold: boolean): void {
    this.keepPlace(() => this.folds.foldAll(fold));
  }

  /** The text of lines (from 1, ends included). */
  text(lines: Lines): Promise<{ text: string; truncated: boolean }> {
    const request = this.nextRequest++;
    return new Promise((resolve) => {
      this.requests.set(request, resolve);
      this.send({ type: "text", session: this.session, request, from: lines.first - 1, to: lines.last });
    });
  }

  private listen(target: EventTarget, type: string, listener: (event: Event) => void, options?: AddEventListenerOptions): void {
    target.addEventListener(type, listener, options);
    this.off.push(() => target.removeEventListener(type, listener, options));
  }

  private send(message: ToWorker): void {
    this.host.worker.postMessage(message);
  }

  private receive(message: FromWorker): void {
    if (message.type === "unauthenticated") {
      this.host.onUnauthenticated();
      return;
    }
    if (message.session !== this.session) return;
    if (message.type === "text") {
      this.requests.get(message.request)?.(message);
      this.requests.delete(message.request);
      return;
    }
    this.state = message;
    for (const row of message.rows) this.rows.set(row.line, row);
    this.prune();
    if (message.marks.length > 0) {
      this.marks = [...this.marks, ...message.marks];
      this.errors += countKind(message.marks, KIND_ERROR);
      this.warnings += countKind(message.marks, KIND_WARNING);
    }
    this.folds.update(this.marks, message.lines);
    this.ackDue = true;
    this.draw();
  }

  private draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  private render(): void {
    this.resizeMap();
    this.arrive();
    if (this.following) this.scrollTo(this.map.maxTop, false);
    const { from, to } = this.window();
    this.place(from, to);
    this.ask(from, to);
    if (this.ackDue) {
      this.ackDue = false;
      this.send({ type: "ack", session: this.session });
    }
    this.status();
  }

  private resizeMap(): void {
    const visible = this.folds.visible;
    const height = this.el.clientHeight;
    // The pane of a finished log may shrink after it opened (the graph above it comes later): the end stays in sight.
    const keepEnd = this.map.atEnd && visible === this.shape.visible && height !== this.shape.height;
    this.shape = { visible, height };
    const scrollTop = this.map.resize(visible, height);
    const spacer = `${this.map.spacerPx}px`;
    if (this.spacer.style.height !== spacer) this.spacer.style.height = spacer;
    this.setScroll(keepEnd ? this.map.moveTo(this.map.maxTop) : scrollTop);
  }

  private setScroll(scrollTop: number): void {
    if (Math.abs(this.el.scrollTop - scrollTop) >= 1) this.el.scrollTop = scrollTop;
  }

  private scrollTo(top: number, draw = true): void {
    this.setScroll(this.map.moveTo(top));
    if (draw) this.draw();
  }

  /** Goes where the log is to be opened, as soon as that place is known. */
  private arrive(): void {
    const state = this.state;
    const pending = this.pending;
    if (pending === undefined || state === undefined || !state.known) return;
    if (pending.at === "line") {
      if (state.lines <= pending.line && !state.complete) return;
      this.pending = undefined;
      this.goTo(Math.min(pending.line, Math.max(0, state.lines - 1)));
      return;
    }
    this.pending = undefined;
    const error = pending.at === "firstError" ? this.marks.find((mark) => mark.kind === KIND_ERROR) : undefined;
    if (error !== undefined) {
      this.goTo(error.line);
      this.select({ first: error.line + 1, last: error.line + 1 }, false);
    } else if (!this.following) this.scrollTo(this.map.maxTop);
  }

  /** The places (among shown lines) that are to be in the DOM. */
  private window(): { from: number; to: number } {
    const first = Math.floor(this.map.top / ROW_PX);
    const count = Math.min(VISIBLE_MAX_ROWS, Math.ceil(this.el.clientHeight / ROW_PX) + 1);
    return { from: Math.max(0, first - OVERSCAN_ROWS), to: Math.min(this.folds.visible, first + count + OVERSCAN_ROWS) };
  }

  private place(from: number, to: number): void {
    const keep = new Map<number, { el: HTMLElement; key: string }>();
    let cursor = this.rowsEl.firstChild;
    for (let place = from; place < to; place += 1) {
      const line = this.folds.lineAt(place);
      const key = this.key(line);
      const before = this.drawn.get(line);
      const entry = before !== undefined && before.key === key ? before : { el: this.make(line), key };
      keep.set(line, entry);
      this.mark(entry.el, line);
      if (before !== undefined && before !== entry) {
        if (cursor === before.el) cursor = entry.el;
        before.el.replaceWith(entry.el);
      }
      // Rows that left at the upper edge stand before the ones that stay.
      while (cursor !== null && cursor !== entry.el && this.isStale(cursor, line)) cursor = removeAndNext(cursor);
      if (cursor === entry.el) cursor = cursor.nextSibling;
      else this.rowsEl.insertBefore(entry.el, cursor);
    }
    while (cursor !== null) cursor = removeAndNext(cursor);
    this.drawn = keep;
    const y = Math.round(from * ROW_PX - this.map.base);
    this.rowsEl.style.transform = `translateY(${y}px)`;
    this.widen();
  }

  private isStale(node: ChildNode, line: number): boolean {
    return Number((node as HTMLElement).dataset.line) - 1 < line;
  }

  /** The list never gets narrower while one scrolls: the horizontal bar would jump. */
  private widen(): void {
    const width = this.rowsEl.scrollWidth;
    if (width > this.spacer.clientWidth) this.spacer.style.minWidth = `${width}px`;
  }

  private key(line: number): string {
    const row = this.rows.get(line);
    if (row === undefined) return this.gapAt(line) === undefined ? "pending" : "gone";
    return row.kind === KIND_GROUP ? `${this.time}${this.folds.isFolded(line)}${this.groupLines(line)}` : this.time;
  }

  private groupLines(line: number): number {
    const group = this.folds.isFolded(line) ? this.folds.groupOf(line) : undefined;
    return group === undefined ? 0 : group.last - group.start;
  }

  private make(line: number): HTMLElement {
    const row = this.rows.get(line);
    if (row === undefined) {
      const gap = this.gapAt(line);
      return gap === undefined ? pendingRow(line) : goneRow(line, gap.reason);
    }
    if (this.origin === 0 && line === 0) this.origin = row.time;
    return rowElement(row, { time: this.time, origin: this.origin, folded: this.folds.isFolded(line), groupLines: this.groupLines(line) });
  }

  private gapAt(line: number) {
    return this.state?.gaps.find((range) => line >= range.from && line < range.to);
  }

  private mark(el: HTMLElement, line: number): void {
    const chosen = this.lines !== undefined && line >= this.lines.first - 1 && line < this.lines.last;
    if (chosen !== "chosen" in el.dataset) {
      if (chosen) el.dataset.chosen = "";
      else delete el.dataset.chosen;
    }
  }

  /** Tells the worker what is on the screen, when that changed. */
  private ask(from: number, to: number): void {
    const ranges: LineRange[] = [];
    const first = Math.max(0, from - PREFETCH_ROWS);
    const last = Math.min(this.folds.visible, to + PREFETCH_ROWS);
    for (let place = first; place < last; place += 1) {
      const line = this.folds.lineAt(place);
      const open = ranges.at(-1);
      if (open !== undefined && open.to === line) open.to = line + 1;
      else ranges.push({ from: line, to: line + 1 });
    }
    const tail = this.following ? Math.ceil(this.el.clientHeight / ROW_PX) + OVERSCAN_ROWS : 0;
    // While it follows, the tail says it all and need not be said again for each line, unless something is missing.
    const missing = this.following && this.anyMissing(from, to);
    const key = this.following && !missing ? `tail${tail}` : JSON.stringify([ranges, tail]);
    if (key === this.lastView) return;
    this.lastView = key;
    this.asked = { ranges, tail };
    this.prune();
    this.send({ type: "view", session: this.session, ranges, tail });
  }

  /** Keeps the rows that the worker takes for sent; never less, or they would not come again. */
  private prune(): void {
    const tailFrom = (this.state?.lines ?? 0) - this.asked.tail;
    for (const line of this.rows.keys()) {
      if (line < tailFrom && !this.asked.ranges.some((range) => line >= range.from && line < range.to)) this.rows.delete(line);
    }
  }

  private anyMissing(from: number, to: number): boolean {
    for (let place = from; place < to; place += 1) if (!this.rows.has(this.folds.lineAt(place))) return true;
    return false;
  }

  private status(): void {
    const state = this.state;
    const status: ViewStatus = {
      lines: state?.lines ?? 0,
      sizeBytes: state?.sizeBytes ?? 0,
      complete: state?.complete ?? false,
      known: state?.known ?? false,
      connection: state?.connection ?? "connecting",
      message: state?.message ?? "",
      following: this.following,
      newLines: this.following ? 0 : Math.max(0, (state?.lines ?? 0) - this.linesAtPause),
      errors: this.errors,
      warnings: this.warnings,
      groups: this.folds.all.length,
      marksTruncated: state?.marksTruncated ?? false,
    };
    const key = JSON.stringify(status);
    if (key === this.lastStatus) return;
    this.lastStatus = key;
    this.host.onStatus(status);
  }

  private onScroll(): void {
    const scrollTop = this.el.scrollTop;
    const before = this.map.scrollTop;
    if (Math.abs(scrollTop - before) < 1) return;
    const fix = this.map.scrolled(scrollTop);
    if (fix !== undefined) this.setScroll(fix);
    this.pending = undefined;
    if (scrollTop < before) this.pause();
    else if (this.map.atEnd && this.state?.complete === false && !this.selecting()) this.following = true;
    clearTimeout(this.settleTimer);
    this.settleTimer = window.setTimeout(() => {
      this.setScroll(this.map.settle());
      this.draw();
    }, SETTLE_MS);
    this.draw();
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const row = target.closest<HTMLElement>("[data-line]");
    if (row === null) return;
    const line = Number(row.dataset.line) - 1;
    if (target.closest(".ln") !== null) {
      if (event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      this.pause();
      this.select(clickLines(line + 1, event.shiftKey, this.lines));
    } else if (row.dataset.kind === "group" && !this.selecting()) {
      this.keepPlace(() => this.folds.toggle(line));
    }
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") {
      this.pause();
      this.scrollTo(0);
    } else if (event.key === "End") {
      if (this.state?.complete === false) this.follow();
      else this.scrollTo(this.map.maxTop);
    } else return;
    event.preventDefault();
  }

  private onSelection(): void {
    if (this.selecting()) this.pause();
  }

  private selecting(): boolean {
    return isSelecting(this.rowsEl);
  }

  /** Copies text alone: no line numbers, no times, no signs. */
  private onCopy(event: ClipboardEvent): void {
    const lines = selectedText(this.rowsEl, this.drawn, this.rows);
    if (lines.length === 0) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", lines.join("\n"));
  }

  private select(lines: Lines, tell = true): void {
    this.lines = lines;
    if (tell) this.host.onLines(lines);
    this.draw();
  }

  /** Changes the folds; the first row on the screen stays where it is. */
  private keepPlace(change: () => void): void {
    const place = Math.ceil(this.map.top / ROW_PX);
    const line = this.folds.lineAt(Math.min(place, Math.max(0, this.folds.visible - 1)));
    const into = place * ROW_PX - this.map.top;
    change();
    this.lastView = "";
    this.resizeMap();
    if (!this.following) this.scrollTo(this.folds.placeOf(line) * ROW_PX - into, false);
    this.draw();
  }
}

function removeAndNext(node: ChildNode): ChildNode | null {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function countKind(marks: readonly Mark[], kind: number): number {
  return marks.reduce((sum, mark) => sum + (mark.kind === kind ? 1 : 0), 0);
}
