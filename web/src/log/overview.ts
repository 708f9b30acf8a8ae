// The strip beside the scroll bar: a tick for each hit of a search, where it is in the log, the current one stronger. A
// click goes to the nearest. Draws a canvas; knows places and their number, not what they are.

/** Hits by their places among the shown lines. */
export interface Ticks {
  count: number;
  placeOf(hit: number): number;
  /** How many lines are shown. */
  places: number;
  /** The current hit; -1: none. */
  current: number;
}

const TICK_PX = 2;
const CURRENT_PX = 4;

export class Overview {
  readonly el = document.createElement("canvas");
  private ticks: Ticks | undefined;

  constructor(go: (hit: number) => void) {
    this.el.className = "log-overview";
    this.el.setAttribute("aria-hidden", "true");
    this.el.dataset.testid = "log-overview";
    this.el.hidden = true;
    this.el.addEventListener("pointerdown", (event) => {
      const hit = this.nearest(event.offsetY / this.el.clientHeight);
      if (hit !== undefined) go(hit);
    });
  }

  /** Draws; undefined: nothing is looked for, the strip goes. */
  draw(ticks: Ticks | undefined): void {
    this.ticks = ticks;
    this.el.hidden = ticks === undefined;
    if (ticks === undefined) return;
    const { clientWidth: width, clientHeight: height } = this.el;
    const scale = devicePixelRatio;
    this.el.width = width * scale;
    this.el.height = height * scale;
    const pen = this.el.getContext("2d");
    if (pen === null || ticks.places === 0) return;
    pen.scale(scale, scale);
    const style = getComputedStyle(this.el);
    pen.fillStyle = style.getPropertyValue("--hit-tick");
    let last = -1;
    let drawn = 0;
    for (let hit = 0; hit < ticks.count; hit += 1) {
      const y = Math.round(this.y(ticks, hit, height));
      if (y === last) continue;
      last = y;
      drawn += 1;
      pen.fillRect(2, y, width - 4, TICK_PX);
    }
    this.el.dataset.ticks = String(drawn);
    if (ticks.current < 0) return;
    pen.fillStyle = style.getPropertyValue("--hit-current");
    pen.fillRect(0, this.y(ticks, ticks.current, height) - (CURRENT_PX - TICK_PX) / 2, width, CURRENT_PX);
  }

  private y(ticks: Ticks, hit: number, height: number): number {
    return (ticks.placeOf(hit) / Math.max(1, ticks.places - 1)) * (height - CURRENT_PX);
  }

  private nearest(share: number): number | undefined {
    const ticks = this.ticks;
    if (ticks === undefined || ticks.count === 0) return undefined;
    const wanted = share * (ticks.places - 1);
    let low = 0;
    let high = ticks.count - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (ticks.placeOf(mid) < wanted) low = mid + 1;
      else high = mid;
    }
    const before = Math.max(0, low - 1);
    return wanted - ticks.placeOf(before) < ticks.placeOf(low) - wanted ? before : low;
  }
}
