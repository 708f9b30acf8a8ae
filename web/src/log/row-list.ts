// Which rows are in the DOM: puts the wanted ones in order, keeps those that stay, makes those that are new or look
// different. Knows neither what is in a row nor why it is wanted.

/** Where rows come from. */
export interface RowSource {
  /** The line at a place among the shown ones. */
  lineAt(place: number): number;
  /** Two looks of a line are the same when their keys are. */
  key(line: number): string;
  make(line: number): HTMLElement;
  /** Whether the line is marked. */
  isChosen(line: number): boolean;
}

export class RowList {
  readonly el = document.createElement("div");
  readonly spacer = document.createElement("div");
  /** The rows in the DOM, by line. */
  drawn = new Map<number, { el: HTMLElement; key: string }>();

  constructor(private readonly source: RowSource) {
    this.spacer.className = "log-spacer";
    this.el.className = "log-rows";
    this.spacer.append(this.el);
  }

  clear(): void {
    this.drawn.clear();
    this.el.replaceChildren();
    this.spacer.style.minWidth = "";
  }

  /** The places from `from` to before `to` are in the DOM, the first of them at `y`. */
  place(from: number, to: number, y: number): void {
    const keep = new Map<number, { el: HTMLElement; key: string }>();
    let cursor = this.el.firstChild;
    for (let place = from; place < to; place += 1) {
      const line = this.source.lineAt(place);
      const key = this.source.key(line);
      const before = this.drawn.get(line);
      const entry = before !== undefined && before.key === key ? before : { el: this.source.make(line), key };
      keep.set(line, entry);
      this.mark(entry.el, line);
      if (before !== undefined && before !== entry) {
        if (cursor === before.el) cursor = entry.el;
        before.el.replaceWith(entry.el);
      }
      // Rows that left at the upper edge stand before the ones that stay.
      while (cursor !== null && cursor !== entry.el && isStale(cursor, line)) cursor = removeAndNext(cursor);
      if (cursor === entry.el) cursor = cursor.nextSibling;
      else this.el.insertBefore(entry.el, cursor);
    }
    while (cursor !== null) cursor = removeAndNext(cursor);
    this.drawn = keep;
    this.el.style.transform = `translateY(${y}px)`;
    this.widen();
  }

  /** The list never gets narrower while one scrolls: the horizontal bar would jump. */
  private widen(): void {
    const width = this.el.scrollWidth;
    if (width > this.spacer.clientWidth) this.spacer.style.minWidth = `${width}px`;
  }

  private mark(el: HTMLElement, line: number): void {
    const chosen = this.source.isChosen(line);
    if (chosen === "chosen" in el.dataset) return;
    if (chosen) el.dataset.chosen = "";
    else delete el.dataset.chosen;
  }
}

function isStale(node: ChildNode, line: number): boolean {
  return Number((node as HTMLElement).dataset.line) - 1 < line;
}

function removeAndNext(node: ChildNode): ChildNode | null {
  const next = node.nextSibling;
  node.remove();
  return next;
}
