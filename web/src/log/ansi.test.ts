import { describe, expect, it } from "vitest";
import { ATTR_BOLD, ATTR_DIM, ATTR_INVERSE, ATTR_ITALIC, ATTR_UNDERLINE, RGB_FLAG, plainText, tokenize } from "./ansi";

const E = "\x1b";
const rgb = (value: number) => RGB_FLAG | value;
const s = (text: string, fg = 0, attrs = 0, bg = 0) => ({ text, fg, bg, attrs });

describe("tokenize", () => {
  it.each<[string, string, object[]]>([
    ["plain text", "hello", [s("hello")]],
    ["nothing", "", []],
    ["a tab stays", "a\tb", [s("a\tb")]],
    ["a colour and its end", `${E}[31mred${E}[0m x`, [s("red", 2), s(" x")]],
    ["an empty SGR resets", `${E}[31mred${E}[m x`, [s("red", 2), s(" x")]],
    ["bright colours", `${E}[91ma${E}[104mb`, [s("a", 10), s("b", 10, 0, 13)]],
    ["several at once", `${E}[1;3;4;32mx`, [s("x", 3, ATTR_BOLD | ATTR_ITALIC | ATTR_UNDERLINE)]],
    ["22 ends bold and dim", `${E}[1;2mx${E}[22my`, [s("x", 0, ATTR_BOLD | ATTR_DIM), s("y")]],
    ["inverse", `${E}[7mx${E}[27my`, [s("x", 0, ATTR_INVERSE), s("y")]],
    ["256: one of the sixteen", `${E}[38;5;9mx`, [s("x", 10)]],
    ["256: the cube", `${E}[38;5;196mx`, [s("x", rgb(0xff0000))]],
    ["256: greys", `${E}[48;5;232mx`, [s("x", 0, 0, rgb(0x080808))]],
    ["true colour", `${E}[38;2;1;2;3mx`, [s("x", rgb(0x010203))]],
    ["true colour with colons", `${E}[38:2::1:2:3mx`, [s("x", rgb(0x010203))]],
    ["true colour with colons, no colour space", `${E}[38:2:1:2:3mx`, [s("x", rgb(0x010203))]],
    ["what follows a true colour still counts", `${E}[38;2;1;2;3;1mx`, [s("x", rgb(0x010203), ATTR_BOLD)]],
    ["a colour out of range is none", `${E}[38;5;999mx`, [s("x")]],
    ["curly underline", `${E}[4:3mx${E}[4:0my`, [s("x", 0, ATTR_UNDERLINE), s("y")]],
    ["default colours", `${E}[31;41mx${E}[39;49my`, [s("x", 2, 0, 2), s("y")]],
    ["pieces of one style are one", `a${E}[0mb${E}[39mc`, [s("abc")]],
    ["cursor moves are dropped", `${E}[2Ka${E}[1;1Hb${E}[?25lc`, [s("abc")]],
    ["private sequences ending in m are no SGR", `${E}[>4;1mx`, [s("x")]],
    ["charset choice is dropped", `${E}(Bx${E})0y`, [s("xy")]],
    ["a title is dropped", `${E}]0;title\x07x`, [s("x")]],
    ["a title ended by ST is dropped", `${E}]0;title${E}\\x`, [s("x")]],
    ["device strings are dropped", `${E}Psecret${E}\\x`, [s("x")]],
    ["an OSC without an end hides no text", `${E}]0;hello`, [s("0;hello")]],
    ["a CSI broken off by text loses only itself", `${E}[31é`, [s("é")]],
    ["a CSI at the end", `a${E}[31`, [s("a")]],
    ["an escape at the end", `a${E}`, [s("a")]],
    ["a bell is dropped", "a\x07b", [s("ab")]],
    ["other controls are shown", "a\x00b\x7f", [s("a␀b␡")]],
    ["a hyperlink", `${E}]8;;https://x.example/a${E}\\link${E}]8;;${E}\\ x`, [{ ...s("link"), href: "https://x.example/a" }, s(" x")]],
    ["a hyperlink of another scheme is only text", `${E}]8;;javascript:alert(1)${E}\\link${E}]8;;${E}\\`, [s("link")]],
    ["carriage return overwrites", "10%\r20%", [s("20%")]],
    ["the rest of a longer text stays", "abcdef\rxy", [s("xycdef")]],
    ["erase to the end after carriage return", `abcdef\r${E}[Kxy`, [s("xy")]],
    ["erase the whole line", `abcdef${E}[2K\rxy`, [s("xy    ")]],
    ["backspace", "abc\b\bX", [s("aXc")]],
    ["backspace at the beginning", "\b\bX", [s("X")]],
    ["colours survive an overwrite", `${E}[31mold\r${E}[32mnew`, [s("new", 3)]],
    ["beyond the basic plane", "🎉x\ry", [s("yx")]],
  ])("%s", (_name, line, spans) => {
    expect(tokenize(line)).toEqual(spans);
  });

  it("goes on with a given style", () => {
    expect(tokenize("x", { fg: 2, bg: 0, attrs: 0, href: undefined })).toEqual([s("x", 2)]);
  });

  it("never throws and loses no printable text, whatever comes", () => {
    const random = generator(42);
    const pieces = ["abc", "é", "🎉", " ", "\t", "[", "]", ";", "m", "31", "38", "2", E, `${E}[`, `${E}]`, `${E}[1;31m`, `${E}[38;5;`, `${E}]8;;`, "\x07", `${E}\\`, "\x00", "K", `${E}P`, "?", ":", "\x7f"];
    for (let round = 0; round < 20_000; round += 1) {
      const line = Array.from({ length: random() % 20 }, () => pieces[random() % pieces.length]).join("");
      const text = plainText(line);
      // Nothing appears that was not there, in the order it was there.
      expect(isSubsequence(shown(text), shown(line))).toBe(true);
      for (const word of ["é", "🎉"]) if (!/\x1b[\]PX^_]/.test(line)) expect(count(text, word)).toBe(count(line, word)); // eslint-disable-line no-control-regex
    }
  });

  it("keeps text without controls as it is", () => {
    const random = generator(7);
    for (let round = 0; round < 2_000; round += 1) {
      const line = Array.from({ length: random() % 40 }, () => String.fromCodePoint(0x20 + (random() % 0x5e))).join("");
      expect(plainText(line)).toBe(line);
    }
  });

  it("survives random bytes with returns and backspaces", () => {
    const random = generator(99);
    for (let round = 0; round < 5_000; round += 1) {
      const line = Array.from({ length: random() % 60 }, () => String.fromCharCode(random() % 0x90)).join("");
      expect(() => tokenize(line)).not.toThrow();
    }
  });

  it("holds its bounds on random text of all kinds, seed by seed", () => {
    const pieces = ["text", "é", "\u{1f389}", "\ud800", "\ufffd", "\t", "\r", "\b", "\n", "\x00", "\x9b", E, `${E}[`, `${E}[K`, `${E}[1K`, `${E}[2K`, `${E}]8;;https://x.example/${E}\\`, `${E}]8;;\x07`, `${E}[38:2::`, `${E}[;;;m`, `${E}[4:`, "9".repeat(30), `${E}[999999999999m`, "38;5;1;m", "\x7f", "?", "<", "P", "\\"];
    for (let seed = 1; seed <= 4_000; seed += 1) {
      const random = generator(seed);
      const line = Array.from({ length: random() % 40 }, () => (random() % 3 === 0 ? String.fromCharCode(random() % 0x10000) : (pieces[random() % pieces.length] ?? ""))).join("");
      const spans = tokenize(line);
      const text = spans.map((span) => span.text).join("");
      expect(text.length, `seed ${seed}`).toBeLessThanOrEqual(line.length);
      expect(spans.length, `seed ${seed}`).toBeLessThanOrEqual(Math.max(1, line.length));
      for (const { text: piece, fg, bg, attrs, href } of spans) {
        expect(piece, `seed ${seed}`).not.toBe("");
        expect(piece, `seed ${seed}`).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]/); // eslint-disable-line no-control-regex
        for (const colour of [fg, bg]) expect(colour >= 0 && (colour <= 16 || (colour & ~0xffffff) === RGB_FLAG), `seed ${seed}`).toBe(true);
        expect(attrs >> 6, `seed ${seed}`).toBe(0);
        if (href !== undefined) expect(href, `seed ${seed}`).toMatch(/^https?:\/\/\S+$/i);
      }
      // Nothing that is not an escape sequence, or printed over, is lost.
      if (!/[\x1b\r\b]/.test(line)) expect(text, `seed ${seed}`).toBe(line.replace(/[\x07\n]/g, "").replace(/[\x00-\x08\x0b-\x1f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0))).replaceAll("\x7f", "␡")); // eslint-disable-line no-control-regex
    }
  });

  it("is not slow on hostile input", () => {
    const begin = performance.now();
    for (const part of [E, `${E}[`, `${E}]`, `${E}]8;;`, "\b", "a\r", `${E}[38;2;`, `${E}P`]) tokenize(part.repeat(16_384 / part.length));
    expect(performance.now() - begin).toBeLessThan(1_500);
  });
});

/** Control characters change their shape or go; the others are compared. */
function shown(text: string): string[] {
  return [...text].filter((char) => char >= " " && char !== "\x7f" && !/[␀-␡]/.test(char));
}

function isSubsequence(part: string[], whole: string[]): boolean {
  let i = 0;
  for (const char of whole) if (char === part[i]) i += 1;
  return i === part.length;
}

function count(text: string, word: string): number {
  return text.split(word).length - 1;
}

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}
