// Turns one line of terminal output into styled pieces of text. Knows no DOM, no network and no colours of a theme:
// a colour is a palette number or an RGB value. Whatever the input, it never throws and never loses printable text.

/** A piece of a line in one style. */
export interface Span {
  text: string;
  /** 0: the default; 1 to 16: the palette; RGB_FLAG | 0xRRGGBB: a colour of its own. */
  fg: number;
  bg: number;
  /** Bits of the Attr constants. */
  attrs: number;
  /** The target of a hyperlink: http or https only. */
  href?: string;
}

export const RGB_FLAG = 0x1000000;
export const ATTR_BOLD = 1;
export const ATTR_DIM = 2;
export const ATTR_ITALIC = 4;
export const ATTR_UNDERLINE = 8;
export const ATTR_INVERSE = 16;
export const ATTR_STRIKE = 32;

const LINK_MAX_CHARS = 2_048;

/** The style at a place of a line. */
export interface Style {
  fg: number;
  bg: number;
  attrs: number;
  href: string | undefined;
}

export const PLAIN: Readonly<Style> = { fg: 0, bg: 0, attrs: 0, href: undefined };

/** Cuts a line (without its line end) into spans; `style` is what the line begins with. */
export function tokenize(line: string, style: Readonly<Style> = PLAIN): Span[] {
  if (!CONTROL.test(line)) return line === "" ? [] : [span(line, style)];
  const screen = rewrites(line) ? new Cells() : new Runs();
  scan(line, { ...style }, screen);
  return screen.spans();
}

/** The line as it is read, without escape sequences. */
export function plainText(line: string): string {
  return tokenize(line)
    .map((piece) => piece.text)
    .join("");
}

/** Whether a line goes back over itself, so that what is shown is not what was sent one after the other. */
export function rewrites(line: string): boolean {
  return /[\b\r]/.test(line);
}

// eslint-disable-next-line no-control-regex -- control characters are what this looks for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
const ESC = 0x1b;
const BEL = 0x07;

interface Screen {
  print(text: string, style: Style): void;
  carriageReturn(): void;
  backspace(): void;
  erase(mode: number): void;
  spans(): Span[];
}

function span(text: string, style: Readonly<Style>): Span {
  const { fg, bg, attrs, href } = style;
  return href === undefined ? { text, fg, bg, attrs } : { text, fg, bg, attrs, href };
}

function same(a: Readonly<Style>, b: Readonly<Style>): boolean {
  return a.fg === b.fg && a.bg === b.bg && a.attrs === b.attrs && a.href === b.href;
}

/** Walks over a line; each escape sequence changes the style, moves the cursor or is dropped. */
function scan(line: string, style: Style, screen: Screen): void {
  let i = 0;
  let textFrom = 0;
  const flush = (to: number) => {
    if (to > textFrom) screen.print(line.slice(textFrom, to), style);
  };
  while (i < line.length) {
    const code = line.charCodeAt(i);
    if (code >= 0x20 && code !== 0x7f) {
      i += 1;
      continue;
    }
    if (code === 0x09) {
      i += 1;
      continue;
    }
    flush(i);
    if (code === ESC) i = escape(line, i, style, screen);
    else {
      control(code, style, screen);
      i += 1;
    }
    textFrom = i;
  }
  flush(i);
}

function control(code: number, style: Style, screen: Screen): void {
  if (code === 0x0d) screen.carriageReturn();
  else if (code === 0x08) screen.backspace();
  else if (code === BEL || code === 0x0a) return;
  // The others are shown as their pictures, so that nothing hides in a log.
  else screen.print(String.fromCharCode(code === 0x7f ? 0x2421 : 0x2400 + code), style);
}

/** `at` is the place of an escape character; answers the place behind its sequence. */
function escape(line: string, at: number, style: Style, screen: Screen): number {
  const next = line.charAt(at + 1);
  if (next === "[") return csi(line, at + 2, style, screen);
  if (next === "]") return osc(line, at + 2, style);
  if (next !== "" && "PX^_".includes(next)) return stringEnd(line, at + 2)?.after ?? at + 2;
  let i = at + 1;
  while (i < line.length && inside(line.charCodeAt(i), 0x20, 0x2f)) i += 1;
  if (i < line.length && inside(line.charCodeAt(i), 0x30, 0x7e)) return i + 1;
  return at + 1;
}

function inside(code: number, low: number, high: number): boolean {
  return code >= low && code <= high;
}

function csi(line: string, from: number, style: Style, screen: Screen): number {
  let i = from;
  while (i < line.length && inside(line.charCodeAt(i), 0x30, 0x3f)) i += 1;
  const params = line.slice(from, i);
  const simple = i;
  while (i < line.length && inside(line.charCodeAt(i), 0x20, 0x2f)) i += 1;
  // Broken off by a character that can't be in a sequence: that character is text.
  if (i >= line.length || !inside(line.charCodeAt(i), 0x40, 0x7e)) return i;
  const final = line.charAt(i);
  if (i === simple && !/^[<=>?]/.test(params)) {
    if (final === "m") sgr(params, style);
    else if (final === "K") screen.erase(Number.parseInt(params, 10) || 0);
  }
  return i + 1;
}

function stringEnd(line: string, from: number): { end: number; after: number } | undefined {
  for (let i = from; i < line.length; i += 1) {
    const code = line.charCodeAt(i);
    if (code === BEL) return { end: i, after: i + 1 };
    if (code === ESC) return line.charAt(i + 1) === "\\" ? { end: i, after: i + 2 } : undefined;
  }
  return undefined;
}

/** Operating system commands: only hyperlinks mean something here. Without an end, what follows is text. */
function osc(line: string, from: number, style: Style): number {
  const stop = stringEnd(line, from);
  if (stop === undefined) return from;
  const link = /^8;[^;]*;(.*)$/.exec(line.slice(from, stop.end));
  if (link !== null) {
    const target = link[1] ?? "";
    style.href = /^https?:\/\/[^\s]+$/i.test(target) && target.length <= LINK_MAX_CHARS ? target : undefined;
  }
  return stop.after;
}

function sgr(params: string, style: Style): void {
  const parts = params === "" ? ["0"] : params.split(";");
  for (let i = 0; i < parts.length; i += 1) {
    const part = parts[i] ?? "";
    const sub = part.split(":");
    const code = part === "" ? 0 : Number(sub[0]);
    if (code === 38 || code === 48) {
      const used = sub.length > 1 ? colour(sub.slice(1), true) : colour(parts.slice(i + 1), false);
      if (used.value !== undefined) style[code === 38 ? "fg" : "bg"] = used.value;
      if (sub.length === 1) i += used.count;
    } else if (code === 4 && sub.length > 1) setAttr(style, ATTR_UNDERLINE, sub[1] !== "0");
    else attribute(code, style);
  }
}

function setAttr(style: Style, attr: number, on: boolean): void {
  style.attrs = on ? style.attrs | attr : style.attrs & ~attr;
}

const ATTR_OF: Readonly<Record<number, number>> = {
  1: ATTR_BOLD,
  2: ATTR_DIM,
  3: ATTR_ITALIC,
  4: ATTR_UNDERLINE,
  7: ATTR_INVERSE,
  9: ATTR_STRIKE,
  21: ATTR_UNDERLINE,
};
const ATTR_END: Readonly<Record<number, number>> = {
  22: ATTR_BOLD | ATTR_DIM,
  23: ATTR_ITALIC,
  24: ATTR_UNDERLINE,
  27: ATTR_INVERSE,
  29: ATTR_STRIKE,
};

function attribute(code: number, style: Style): void {
  const on = ATTR_OF[code];
  const off = ATTR_END[code];
  if (code === 0) {
    style.fg = 0;
    style.bg = 0;
    style.attrs = 0;
  } else if (on !== undefined) style.attrs |= on;
  else if (off !== undefined) style.attrs &= ~off;
  else if (code >= 30 && code <= 37) style.fg = code - 29;
  else if (code >= 40 && code <= 47) style.bg = code - 39;
  else if (code >= 90 && code <= 97) style.fg = code - 81;
  else if (code >= 100 && code <= 107) style.bg = code - 91;
  else if (code === 39) style.fg = 0;
  else if (code === 49) style.bg = 0;
}

/** Reads "5;n" or "2;r;g;b" (with colons an empty colour space may stand before r). */
function colour(parts: string[], colons: boolean): { value: number | undefined; count: number } {
  if (parts[0] === "5") return { value: palette(byte(parts[1])), count: 2 };
  if (parts[0] !== "2") return { value: undefined, count: 1 };
  const rgb = colons && parts.length >= 5 ? parts.slice(2, 5) : parts.slice(1, 4);
  const [r, g, b] = [byte(rgb[0]), byte(rgb[1]), byte(rgb[2])];
  if (r === undefined || g === undefined || b === undefined) return { value: undefined, count: 4 };
  return { value: RGB_FLAG | (r << 16) | (g << 8) | b, count: 4 };
}

function byte(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,3}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= 255 ? value : undefined;
}

/** The 256 colours: 16 of the theme, a cube of 216, 24 greys. */
function palette(index: number | undefined): number | undefined {
  if (index === undefined) return undefined;
  if (index < 16) return index + 1;
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return RGB_FLAG | (grey << 16) | (grey << 8) | grey;
  }
  const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
  const cube = index - 16;
  return RGB_FLAG | (level(Math.floor(cube / 36)) << 16) | (level(Math.floor(cube / 6) % 6) << 8) | level(cube % 6);
}

/** Lines that only go forward, nearly all: runs of text. */
class Runs implements Screen {
  private readonly out: Span[] = [];
  print(text: string, style: Style): void {
    const last = this.out.at(-1);
    if (last !== undefined && same({ href: undefined, ...last }, style)) last.text += text;
    else this.out.push(span(text, style));
  }
  carriageReturn(): void {}
  backspace(): void {}
  erase(): void {}
  spans(): Span[] {
    return this.out;
  }
}

/** Lines that go back over themselves, as progress displays do: a row of cells with a cursor. */
class Cells implements Screen {
  private readonly chars: string[] = [];
  private readonly styles: Style[] = [];
  private cursor = 0;
  print(text: string, style: Style): void {
    const now = { ...style };
    for (const char of text) {
      while (this.chars.length < this.cursor) {
        this.chars.push(" ");
        this.styles.push(PLAIN);
      }
      this.chars[this.cursor] = char;
      this.styles[this.cursor] = now;
      this.cursor += 1;
    }
  }
  carriageReturn(): void {
    this.cursor = 0;
  }
  backspace(): void {
    this.cursor = Math.max(0, this.cursor - 1);
  }
  erase(mode: number): void {
    if (mode === 0) {
      this.chars.length = Math.min(this.chars.length, this.cursor);
      this.styles.length = this.chars.length;
    } else if (mode === 1 || mode === 2) {
      const to = mode === 2 ? this.chars.length : Math.min(this.cursor + 1, this.chars.length);
      this.chars.fill(" ", 0, to);
      this.styles.fill(PLAIN, 0, to);
    }
  }
  spans(): Span[] {
    const out = new Runs();
    this.chars.forEach((char, i) => out.print(char, this.styles[i] ?? PLAIN));
    return out.spans();
  }
}
