// The way between a scroll bar and a list that is longer than a browser's tallest element: small moves are taken as
// they are, large ones (the bar was dragged) are scaled. Knows numbers only, no DOM.

/** Browsers end at 17 to 33 million pixels. */
export const SPACER_MAX_PX = 8_000_000;
/** A larger move than this in one event is a dragged bar, a smaller one a wheel, a key or a finger. */
export const DRAG_MIN_PX = 3_000;

/** Place in the list, and what the scroll bar must show for it. All in pixels. */
export class ScrollMap {
  /** How far the list's coordinates are ahead of the spacer's. */
  base = 0;
  private rows = 0;
  private viewport = 0;
  private scroll = 0;

  constructor(
    readonly rowPx: number,
    readonly padPx = 0,
  ) {}

  /** The height of the list. */
  get contentPx(): number {
    return this.rows * this.rowPx + this.padPx;
  }

  /** The height of the element that stands for it. */
  get spacerPx(): number {
    return Math.min(this.contentPx, SPACER_MAX_PX);
  }

  /** What is at the upper edge of the window. */
  get top(): number {
    return this.scroll + this.base;
  }

  get maxTop(): number {
    return Math.max(0, this.contentPx - this.viewport);
  }

  get scrollTop(): number {
    return this.scroll;
  }

  get atEnd(): boolean {
    return this.top >= this.maxTop - this.rowPx;
  }

  private get maxScroll(): number {
    return Math.max(0, this.spacerPx - this.viewport);
  }

  private get scaled(): boolean {
    return this.contentPx > SPACER_MAX_PX;
  }

  /** The list or the window has another size; the place stays. Answers the scrollTop to set. */
  resize(rows: number, viewportPx: number): number {
    this.rows = rows;
    this.viewport = viewportPx;
    // A scroll under way is not disturbed when there is no need: setting scrollTop would stop it.
    const fits = this.scaled && this.top >= 0 && this.top <= this.maxTop && this.scroll <= this.maxScroll;
    return fits ? this.scroll : this.moveTo(this.top);
  }

  /** Goes to a place. Answers the scrollTop to set. */
  moveTo(top: number): number {
    const wanted = Math.max(0, Math.min(this.maxTop, top));
    if (!this.scaled) {
      this.scroll = wanted;
      this.base = 0;
    } else {
      // Near an end the bar keeps room for all small moves that are left, or one could not get there by wheel.
      const least = Math.min(wanted, DRAG_MIN_PX);
      const most = this.maxScroll - Math.min(this.maxTop - wanted, DRAG_MIN_PX);
      this.scroll = Math.max(least, Math.min(most, Math.round((wanted / this.maxTop) * this.maxScroll)));
      this.base = wanted - this.scroll;
    }
    return this.scroll;
  }

  /** The scroll bar moved to a place. Answers a scrollTop to set when it must be put right, or undefined. */
  scrolled(scrollTop: number): number | undefined {
    const delta = scrollTop - this.scroll;
    this.scroll = scrollTop;
    if (!this.scaled) {
      this.base = 0;
      return undefined;
    }
    if (Math.abs(delta) > DRAG_MIN_PX) {
      const wanted = (Math.max(0, Math.min(this.maxScroll, scrollTop)) / this.maxScroll) * this.maxTop;
      this.base = wanted - scrollTop;
      return undefined;
    }
    const top = this.top;
    if (top < 0 || top > this.maxTop) return this.moveTo(top);
    // At an end of the bar, but not of the list: there must be room to go on.
    const stuck = (scrollTop <= 0 && top > 0) || (scrollTop >= this.maxScroll && top < this.maxTop);
    return stuck ? this.moveTo(top) : undefined;
  }

  /** Puts the bar where it belongs after many small moves; the rows must be placed anew. */
  settle(): number {
    return this.moveTo(this.top);
  }
}
