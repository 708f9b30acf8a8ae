// The log on the screen: which rows are in the DOM, where they stand, following, folding, selecting. Draws at most once
// an animation frame. Knows the DOM and the worker's messages; no React, no transport.
import type { LineRange } from "./blocks";
import { Find } from "./find";
import { Folds } from "./folds";
import { Marks } from "./marks";
import { Overview } from "./overview";
import type { FromWorker, Opening, Query, ToWorker, Update } from "./protocol";
import { clickLines, type Lines } from "./range";
import type { TimeMode } from "./row-dom";
import { RowList } from "./row-list";
import { RowMaker } from "./row-maker";
import { ScrollMap } from "./scroll";
import { isSelecting, selectedText } from "./selection";
import { copyText } from "@/ui/copy";
import type { LogViewHost, OpenLog, ViewStatus } from "./view-host";

export const ROW_PX = 20;
const PAD_PX = 24;
const OVERSCAN_ROWS = 24;
/** With the overscan there are at most so many rows in the DOM. */
const VISIBLE_MAX_ROWS = 150;
const PREFETCH_ROWS = 100;
const SETTLE_MS = 160;

const NOTHING_REMOVED = { lines: 0, bytes: 0, reason: "" };

let sessions = 0;

export class LogView {
  private readonly find = new Find();
  private readonly overview: Overview;
  private readonly list: RowList;
  private readonly maker: RowMaker;
  private readonly map = new ScrollMap(ROW_PX, PAD_PX);
  private folds = new Folds();
  private session = 0;
  private marks = new Marks();
  private state: Update | undefined;
  private following = false;
  private linesAtPause = 0;
  private pending: Opening | undefined;
  private lines: Lines | undefined;
  /** Only lines with a hit are shown. */
  private only = false;
  private ticksDrawn = "";
  private shape = { visible: 0, height: 0 };
  private frame = 0;
  private settleTimer = 0;
  private lastView = "";
  private asked: { ranges: LineRange[]; tail: number } = { ranges: [], tail: 0 };
  private lastStatus = "";
  private ackDue = false;
  private requests = new Map<number, (result: { text: string; truncated: boolean }) => void>();
  private nextRequest = 1;
  private readonly off: (() => void)[] = [];

  constructor(
    private readonly el: HTMLElement,
    private readonly host: LogViewHost,
  ) {
    this.maker = new RowMaker(this.folds, this.find);
    this.list = new RowList({
      lineAt: (place) => this.places.lineAt(place),
      key: (line) => this.maker.key(line),
      make: (line) => this.maker.make(line),
      isChosen: (line) => this.lines !== undefined && line >= this.lines.first - 1 && line < this.lines.last,
    });
    this.overview = new Overview((hit) => this.goToHit(this.find.goTo(hit)));
    el.replaceChildren(this.list.spacer);
    el.after(this.overview.el);
    host.worker.onmessage = ({ data }) => this.receive(data);
    const resize = new ResizeObserver(() => this.draw());
    resize.observe(el);
    // The strip is a picture: another theme needs another one.
    const theme = new MutationObserver(() => this.draw());
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.off.push(() => (resize.disconnect(), theme.disconnect()));
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
    this.list.clear();
    this.folds = new Folds();
    this.maker.reset(this.folds, log.origin);
    this.only = false;
    this.ticksDrawn = "";
    this.marks = new Marks();
    this.state = undefined;
    this.ackDue = false;
    this.lastView = "";
    this.asked = { ranges: [], tail: 0 };
    this.lastStatus = "";
    this.pending = log.opening;
    this.following = log.live && log.opening.at === "tail";
    this.map.resize(0, this.el.clientHeight);
    this.map.moveTo(0);
    this.send({ type: "open", session: this.session, logId: log.logId, live: log.live, opening: log.opening });
    // With a line in the link, that is the place to be; the search only marks.
    if (log.query !== undefined) this.look(log.query, log.opening.at === "line" ? log.opening.line : 0, log.opening.at !== "line");
    this.draw();
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settleTimer);
    for (const off of this.off) off();
    this.send({ type: "close" });
    this.overview.el.remove();
    this.host.worker.onmessage = null;
  }

  setTime(mode: TimeMode): void {
    if (this.maker.time === mode) return;
    this.maker.time = mode;
    this.draw();
  }

  /** Which lines are marked (from 1); with `jump` they are brought to the eye. */
  setLines(lines: Lines | undefined, jump: boolean): void {
    this.lines = lines;
    if (jump && lines !== undefined) this.goTo(lines.first - 1);
    this.draw();
  }

  /** Looks for something; without a query it stops looking, and shows all lines again. */
  search(query: Query | undefined): void {
    if (query === undefined) this.showOnly(false);
    // From the end there is nothing further on: the first hit of all is next.
    const from = this.find.currentLine ?? (this.following || this.map.atEnd || this.only ? 0 : this.topLine());
    this.look(query, from, true);
  }

  /** The next hit, or the one before. */
  nextHit(direction: 1 | -1): void {
    const line = this.find.step(direction);
    if (line !== undefined) this.goToHit(line);
  }

  /** Shows only the lines with a hit, or all. */
  showOnly(only: boolean): void {
    if (this.only === only) return;
    const line = this.find.currentLine ?? this.topLine();
    this.only = only;
    this.pause();
    this.lastView = "";
    this.goTo(line);
  }

  follow(): void {
    this.showOnly(false);
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
    this.scrollTo(this.places.placeOf(line) * ROW_PX - Math.floor(this.el.clientHeight / 3 / ROW_PX) * ROW_PX);
  }

  /** Goes to the next (or former) error, or to a warning when there is no error at all. Answers its line from 1. */
  nextMark(direction: 1 | -1): number | undefined {
    const next = this.marks.next(direction, this.lines === undefined ? undefined : this.lines.first - 1);
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
    if (message.type === "found") {
      const line = this.find.take(message);
      if (line !== undefined) this.goToHit(line);
      this.draw();
      return;
    }
    if (message.type === "text") {
      this.requests.get(message.request)?.(message);
      this.requests.delete(message.request);
      return;
    }
    this.state = message;
    for (const row of message.rows) this.maker.rows.set(row.line, row);
    if (message.removed.lines > this.maker.removed.lines) this.removedMore(message);
    this.prune();
    this.marks.add(message.marks);
    this.folds.update(this.marks.all, message.lines, message.removed.lines);
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
    this.list.place(from, to, Math.round(from * ROW_PX - this.map.base));
    this.drawTicks();
    this.ask(from, to);
    if (this.ackDue) {
      this.ackDue = false;
      this.send({ type: "ack", session: this.session });
    }
    this.status();
  }

  private resizeMap(): void {
    const visible = this.places.visible;
    const height = this.el.clientHeight;
    // The pane of a finished log may shrink after it opened (the graph above it comes later): the end stays in sight.
    const keepEnd = this.map.atEnd && visible === this.shape.visible && height !== this.shape.height;
    this.shape = { visible, height };
    const scrollTop = this.map.resize(visible, height);
    const spacer = `${this.map.spacerPx}px`;
    if (this.list.spacer.style.height !== spacer) this.list.spacer.style.height = spacer;
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
    // It was taken for a finished one.
    if (pending.at === "tail" && !state.complete) this.following = true;
    const error = pending.at === "firstError" ? this.marks.firstError : undefined;
    if (error !== undefined) {
      this.goTo(error);
      this.select({ first: error + 1, last: error + 1 }, false);
    } else if (!this.following) this.scrollTo(this.map.maxTop);
  }

  /** The places (among shown lines) that are to be in the DOM. */
  private window(): { from: number; to: number } {
    const first = Math.floor(this.map.top / ROW_PX);
    const count = Math.min(VISIBLE_MAX_ROWS, Math.ceil(this.el.clientHeight / ROW_PX) + 1);
    return { from: Math.max(0, first - OVERSCAN_ROWS), to: Math.min(this.places.visible, first + count + OVERSCAN_ROWS) };
  }

  /** Tells the worker what is on the screen, when that changed. */
  private ask(from: number, to: number): void {
    const ranges: LineRange[] = [];
    // Lines with hits are far apart: each costs a read of its own.
    const more = this.only ? 0 : PREFETCH_ROWS;
    const first = Math.max(0, from - more);
    const last = Math.min(this.places.visible, to + more);
    for (let place = first; place < last; place += 1) {
      const line = this.places.lineAt(place);
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
    for (const line of this.maker.rows.keys()) {
      if (line < tailFrom && !this.asked.ranges.some((range) => line >= range.from && line < range.to)) this.maker.rows.delete(line);
    }
  }

  private anyMissing(from: number, to: number): boolean {
    for (let place = from; place < to; place += 1) if (!this.maker.rows.has(this.places.lineAt(place))) return true;
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
      errors: this.marks.errors,
      warnings: this.marks.warnings,
      groups: this.folds.all.length,
      marksTruncated: state?.marksTruncated ?? false,
      missing: state?.missing,
      removed: state?.removed ?? NOTHING_REMOVED,
      find: this.find.status(),
      only: this.only,
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
    else if (!this.only && this.map.atEnd && this.state?.complete === false && !this.selecting()) this.following = true;
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
    } else if (row.dataset.kind === "group" && !this.only && !this.selecting()) {
      this.keepPlace(() => this.folds.toggle(line));
    }
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") {
      this.pause();
      this.scrollTo(0);
    } else if (event.key === "End") {
      if (this.state?.complete === false && !this.only) this.follow();
      else this.scrollTo(this.map.maxTop);
    } else return;
    event.preventDefault();
  }

  private onSelection(): void {
    if (this.selecting()) this.pause();
  }

  private selecting(): boolean {
    return isSelecting(this.list.el);
  }

  /** Copies text alone: no line numbers, no times, no signs. */
  private onCopy(event: ClipboardEvent): void {
    const selected = selectedText(this.list.el, this.list.drawn, this.maker.rows);
    if (selected === undefined) return;
    event.preventDefault();
    event.clipboardData?.setData("text/plain", selected.text);
    // Very long lines are not shown whole; they are copied whole.
    if (selected.cut) void this.text({ first: selected.first + 1, last: selected.last + 1 }).then(({ text }) => copyText(text));
  }

  /** What the places are of: all lines that no fold hides, or those with a hit. */
  private get places(): { visible: number; lineAt(place: number): number; placeOf(line: number): number } {
    return this.only ? this.find.hits : this.folds;
  }

  private look(query: Query | undefined, line: number, jump: boolean): void {
    this.send({ type: "search", session: this.session, search: this.find.begin(query, line, jump), query });
    this.draw();
  }

  /** A hit that is in sight already stays where it is. */
  private goToHit(line: number): void {
    const y = this.places.placeOf(line) * ROW_PX - this.map.top;
    const hidden = !this.only && this.folds.lineAt(this.folds.placeOf(line)) !== line;
    this.pending = undefined;
    if (hidden || y < ROW_PX || y > this.el.clientHeight - 3 * ROW_PX) this.goTo(line);
    else this.pause();
    this.draw();
  }

  /** The first line that is wholly in the window. */
  private topLine(): number {
    return this.places.lineAt(Math.min(Math.ceil(this.map.top / ROW_PX), Math.max(0, this.places.visible - 1)));
  }

  private drawTicks(): void {
    const find = this.find.status();
    const { hits, version } = this.find;
    // A log that grows moves the ticks by less than a pixel, mostly.
    const grown = Math.floor(Math.log(this.places.visible + 1) * 400);
    const key = find === undefined ? "" : `${version} ${find.current} ${this.only} ${grown} ${this.el.clientHeight} ${document.documentElement.dataset.theme}`;
    if (key === this.ticksDrawn) return;
    this.ticksDrawn = key;
    this.overview.draw(find === undefined ? undefined : { count: hits.visible, placeOf: (hit) => this.places.placeOf(hits.lineAt(hit)), places: this.places.visible, current: find.current });
  }

  /** Retention took lines while they were open: what is on the screen stays where it is. */
  private removedMore({ lines, removed }: Update): void {
    const change = () => {
      this.maker.removed = removed;
      this.folds.update(this.marks.all, lines, removed.lines);
    };
    if (this.places.visible === 0) change();
    else this.keepPlace(change);
  }

  private select(lines: Lines, tell = true): void {
    this.lines = lines;
    if (tell) this.host.onLines(lines);
    this.draw();
  }

  /** Changes the folds; the first row on the screen stays where it is. */
  private keepPlace(change: () => void): void {
    const place = Math.ceil(this.map.top / ROW_PX);
    const line = this.topLine();
    const into = place * ROW_PX - this.map.top;
    change();
    this.lastView = "";
    this.resizeMap();
    if (!this.following) this.scrollTo(this.places.placeOf(line) * ROW_PX - into, false);
    this.draw();
  }
}
