// Makes the element of one row. All text goes in as text nodes; a style is a class or a property set from code, never
// an attribute in markup, so the content security policy can forbid inline styles.
import { ATTR_BOLD, ATTR_DIM, ATTR_INVERSE, ATTR_ITALIC, ATTR_STRIKE, ATTR_UNDERLINE, RGB_FLAG, type Span } from "./ansi";
import { FLAG_CONTINUES, FLAG_STDERR, KIND_COMMAND, KIND_DEBUG, KIND_ERROR, KIND_GROUP, KIND_NOTICE, KIND_WARNING, type Row } from "./row";

/** How a row's time is shown. */
export type TimeMode = "off" | "clock" | "since";

export interface RowLook {
  time: TimeMode;
  /** What "since" counts from, Unix milliseconds. */
  origin: number;
  folded: boolean;
  groupLines: number;
}

/** The element of a row that is not at hand yet. */
export function pendingRow(line: number): HTMLElement {
  const el = element("div", "lr lr-pending");
  el.dataset.line = String(line + 1);
  el.dataset.pending = "";
  el.append(lineNumber(line), text("span", "lx", "…"));
  return el;
}

/** The element of a row the server no longer has. */
export function goneRow(line: number, reason: string): HTMLElement {
  const el = element("div", "lr lr-pending");
  el.dataset.line = String(line + 1);
  el.append(lineNumber(line), text("span", "lx", `(gone${reason === "" ? "" : `: ${reason}`})`));
  return el;
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
  el.append(lineNumber(row.line));
  if (look.time !== "off") el.append(text("span", "lt", timeText(row.time, look)));
  const body = element("span", "lx");
  if (row.kind === KIND_GROUP) body.append(foldButton(look.folded));
  else if (ICON[row.kind] !== undefined) body.append(text("span", "li", ICON[row.kind] ?? ""));
  if ((row.flags & FLAG_CONTINUES) !== 0) body.append(text("span", "lc", "↪ "));
  for (const piece of row.spans) body.append(spanNode(piece));
  if (row.cutBytes > 0) body.append(text("span", "lc", ` … ${row.cutBytes.toLocaleString("en")} more bytes: see the raw log`));
  if (row.kind === KIND_GROUP && look.folded && look.groupLines > 0) body.append(text("span", "lc", `  ${look.groupLines.toLocaleString("en")} lines`));
  el.append(body);
  return el;
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

function lineNumber(line: number): HTMLElement {
  const link = document.createElement("a");
  link.className = "ln";
  link.href = `?l=${line + 1}`;
  link.tabIndex = -1;
  link.append(String(line + 1));
  return link;
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
  if (look.time === "clock") {
    const date = new Date(time);
    const two = (n: number) => String(n).padStart(2, "0");
    return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  }
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
