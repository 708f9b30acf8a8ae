// Makes the element of one row. All text goes in as text nodes; a style is a class or a property set from code, never
// an attribute in markup, so the content security policy can forbid inline styles.
import { countText } from "@/ui/bytes";
import { ATTR_BOLD, ATTR_DIM, ATTR_INVERSE, ATTR_ITALIC, ATTR_STRIKE, ATTR_UNDERLINE, RGB_FLAG, type Span } from "./ansi";
import type { Removed } from "./protocol";
import { FLAG_CONTINUES, FLAG_ROOM, FLAG_STDERR, length, KIND_COMMAND, KIND_DEBUG, KIND_ERROR, KIND_GROUP, KIND_NOTICE, KIND_WARNING, type Row } from "./row";

/** How a row's time is shown. */
export type TimeMode = "off" | "clock" | "since";

export interface RowLook {
  time: TimeMode;
  /** What "since" counts from, Unix milliseconds. */
  origin: number;
  folded: boolean;
  groupLines: number;
  /** It is the next piece of the line before it. */
  goesOn: boolean;
  /** Begin and end of each hit of a search; undefined: none. */
  hits: Uint32Array | undefined;
  /** The hit is the current one. */
  current: boolean;
}

/** The element of a row that is not at hand yet. */
export function pendingRow(line: number): HTMLElement {
  const el = element("div", "lr lr-pending");
  el.dataset.line = String(line + 1);
  el.dataset.pending = "";
  el.append(lineNumber(line), text("span", "lx", "…"));
  return el;
}

/** The element that stands for all lines that retention took. */
export function removedRow(line: number, removed: Removed): HTMLElement {
  const el = element("div", "lr lr-removed");
  el.dataset.line = String(line + 1);
  el.dataset.removed = "";
  el.append(text("span", "ln", "⋯"), text("span", "lx", removedText(removed)));
  return el;
}

export function removedText({ lines, reason }: Pick<Removed, "lines" | "reason">): string {
  const which = lines === 1 ? "Line 1 was" : `Lines 1-${countText(lines)} were`;
  return `${which} removed by retention${reason === "" || reason.includes("retention") ? "" : ` (${reason})`}`;
}

/** The element of a row. */
export function rowElement(row: Row, look: RowLook): HTMLElement {
  const el = element("div", "lr");
  el.dataset.line = String(row.line + 1);
  const label = KIND_LABEL[row.kind];
  if (label !== undefined) el.dataset.kind = label;
  if ((row.flags & FLAG_STDERR) !== 0) {
    el.dataset.stderr = "";
    el.title = "standard error";
  }
  if ((row.flags & FLAG_ROOM) !== 0) {
    el.dataset.room = "";
    el.title = "said by the server";
  }
  if (look.goesOn) el.dataset.joined = "";
  if (look.current) el.dataset.current = "";
  el.append(lineNumber(row.line, look.goesOn, row.time));
  if (look.time !== "off") el.append(timeNode(row.time, look));
  // What is not of the log stands beside the text, never in it: a copy has the text alone.
  if (row.kind === KIND_GROUP) el.append(foldButton(look.folded));
  else if (ICON[row.kind] !== undefined) el.append(text("span", "li", ICON[row.kind] ?? ""));
  if ((row.flags & FLAG_CONTINUES) !== 0 && !look.goesOn) el.append(text("span", "lc", "↪ "));
  const body = element("span", "lx");
  body.append(...textNodes(row, look.hits ?? NONE));
  el.append(body);
  if (row.cutBytes > 0) {
    const beyond = look.hits !== undefined && (look.hits.at(-1) ?? 0) > length(row.spans);
    el.append(text("span", beyond ? "lc lh" : "lc", ` … ${countText(row.cutBytes)} more bytes${beyond ? ", hits among them" : ""}: see the raw log`));
  }
  if (row.kind === KIND_GROUP && look.folded && look.groupLines > 0) el.append(text("span", "lc", `  ${countText(look.groupLines)} lines`));
  return el;
}

const NONE = new Uint32Array(0);

/** The row's text, cut where hits begin and end. */
function textNodes(row: Row, hits: Uint32Array): Node[] {
  if (hits.length === 0) return row.spans.map(spanNode);
  const nodes: Node[] = [];
  let at = 0;
  let next = 0;
  for (const piece of row.spans) {
    let from = 0;
    while (from < piece.text.length) {
      while (next + 1 < hits.length && (hits[next + 1] ?? 0) <= at + from) next += 2;
      const begin = Math.max(0, (hits[next] ?? Number.MAX_SAFE_INTEGER) - at);
      const inside = begin <= from;
      const to = Math.min(piece.text.length, inside ? Math.max(from + 1, (hits[next + 1] ?? 0) - at) : begin);
      const node = spanNode({ ...piece, text: piece.text.slice(from, to) });
      if (inside) {
        const mark = element("mark", "lh");
        mark.append(node);
        nodes.push(mark);
      } else nodes.push(node);
      from = to;
    }
    at += piece.text.length;
  }
  return nodes;
}

const KIND_LABEL: Readonly<Record<number, string>> = {
  [KIND_GROUP]: "group",
  [KIND_ERROR]: "error",
  [KIND_WARNING]: "warning",
  [KIND_NOTICE]: "notice",
  [KIND_DEBUG]: "debug",
  [KIND_COMMAND]: "command",
};
const ICON: Readonly<Record<number, string>> = { [KIND_ERROR]: "✗ Error: ", [KIND_WARNING]: "▲ Warning: ", [KIND_NOTICE]: "◆ Notice: " };

function element(tag: string, className: string): HTMLElement {
  const el = document.createElement(tag);
  el.className = className;
  return el;
}

function text(tag: string, className: string, content: string): HTMLElement {
  const el = element(tag, className);
  el.append(content);
  return el;
}

function lineNumber(line: number, goesOn = false, time = 0): HTMLElement {
  const link = document.createElement("a");
  link.className = "ln";
  link.href = lineHref(line);
  link.tabIndex = -1;
  const when = time === 0 ? "" : exactTime(time);
  if (goesOn) {
    link.setAttribute("aria-label", `Line ${line + 1}, which goes on the one before`);
    link.title = `Goes on the line before, which is longer than 64 KiB: line ${line + 1} for links. ${when}`;
  } else link.title = when;
  link.append(goesOn ? "·" : String(line + 1));
  return link;
}

/** The page's own link, with this line: other parts of it say which step it is. */
function lineHref(line: number): string {
  const params = new URLSearchParams(location.search);
  params.set("l", String(line + 1));
  return `?${params.toString()}`;
}

function timeNode(time: number, look: Pick<RowLook, "time" | "origin">): HTMLElement {
  const node = text("span", "lt", timeText(time, look));
  if (time !== 0) node.title = exactTime(time);
  return node;
}

/** A time with all it has: the reader's own clock, and UTC. */
function exactTime(time: number): string {
  const date = new Date(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockText(date)} (${date.toISOString()})`;
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

function clockText(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function foldButton(folded: boolean): HTMLElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lf";
  button.setAttribute("aria-expanded", String(!folded));
  button.setAttribute("aria-label", folded ? "Unfold this group" : "Fold this group");
  button.append(folded ? "▸" : "▾");
  return button;
}

/** The time of a row as text. */
export function timeText(time: number, look: Pick<RowLook, "time" | "origin">): string {
  if (time === 0) return "";
  if (look.time === "clock") return clockText(new Date(time));
  const ms = Math.max(0, time - look.origin);
  const minutes = Math.floor(ms / 60_000);
  const seconds = ((ms % 60_000) / 1000).toFixed(2).padStart(5, "0");
  return `+${minutes}:${seconds}`;
}

function spanNode(piece: Span): Node {
  const { fg, bg, attrs, href } = piece;
  if (fg === 0 && bg === 0 && attrs === 0 && href === undefined) return document.createTextNode(piece.text);
  const el = href === undefined ? document.createElement("span") : link(href);
  const classes: string[] = [];
  const inverse = (attrs & ATTR_INVERSE) !== 0;
  paint(el, classes, "f", inverse ? bg : fg, inverse);
  paint(el, classes, "b", inverse ? fg : bg, inverse);
  if ((attrs & ATTR_BOLD) !== 0) classes.push("a-bold");
  if ((attrs & ATTR_DIM) !== 0) classes.push("a-dim");
  if ((attrs & ATTR_ITALIC) !== 0) classes.push("a-italic");
  if ((attrs & ATTR_UNDERLINE) !== 0) classes.push("a-under");
  if ((attrs & ATTR_STRIKE) !== 0) classes.push("a-strike");
  el.className = classes.join(" ");
  el.append(piece.text);
  return el;
}

function link(href: string): HTMLElement {
  const el = document.createElement("a");
  el.href = href;
  el.target = "_blank";
  el.rel = "noopener noreferrer nofollow";
  return el;
}

function paint(el: HTMLElement, classes: string[], layer: "f" | "b", colour: number, inverse: boolean): void {
  if (colour === 0) {
    if (inverse) classes.push(`${layer}-inv`);
  } else if (colour >= RGB_FLAG) {
    classes.push(`${layer}-rgb`);
    el.style.setProperty(`--${layer}`, `#${(colour & 0xffffff).toString(16).padStart(6, "0")}`);
  } else classes.push(`${layer}${colour - 1}`);
}
