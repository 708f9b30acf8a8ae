// One line of a log made ready to be shown: decoded, cut into spans, its workflow command recognised. Knows no DOM.
import { plainText, rewrites, tokenize, type Span } from "./ansi";

/** What a row is; the numbers of LogMark.Kind in the protocol. */
export const KIND_NONE = 0;
export const KIND_GROUP = 1;
export const KIND_ENDGROUP = 2;
export const KIND_ERROR = 3;
export const KIND_WARNING = 4;
export const KIND_NOTICE = 5;
/** Ours alone: "##[debug]" and "##[command]" mark no place, they only look different. */
export const KIND_DEBUG = 14;
export const KIND_COMMAND = 15;

export const FLAG_STDERR = 1;
export const FLAG_CONTINUES = 2;
/** The server's own words. */
export const FLAG_ROOM = 4;
/** The line end is the server's own: the line goes on with the next one. */
export const FLAG_JOINED = 8;

/** What is shown of one line; longer ones say how much is missing. The raw log has all. */
export const ROW_MAX_BYTES = 16 * 1024;

/** A line as the view gets it. */
export interface Row {
  /** From 0. */
  line: number;
  /** Unix milliseconds; 0 when not known. */
  time: number;
  flags: number;
  kind: number;
  spans: Span[];
  /** How many bytes are not shown. */
  cutBytes: number;
  /** How many characters of the line's text are not shown at its beginning: the command's prefix. */
  lead: number;
  /** Of a line that goes on with the next one: how many characters it has in all, cut or not. Else 0. */
  units: number;
  /** Parts of it were printed over: places in the text as it was sent say nothing here. */
  rewritten: boolean;
}

const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
const COMMAND = /^##\[(group|endgroup|error|warning|notice|debug|command|section)\]/;
const KIND_OF: Readonly<Record<string, number>> = {
  group: KIND_GROUP,
  endgroup: KIND_ENDGROUP,
  error: KIND_ERROR,
  warning: KIND_WARNING,
  notice: KIND_NOTICE,
  debug: KIND_DEBUG,
  command: KIND_COMMAND,
  section: KIND_COMMAND,
};

/** Makes a row of a line's bytes, with or without its line end. */
export function makeRow(line: number, bytes: Uint8Array, time: number, flags: number): Row {
  const full = trimLineEnd(bytes);
  const cutBytes = Math.max(0, full.length - ROW_MAX_BYTES);
  const text = decoder.decode(cutBytes > 0 ? full.subarray(0, ROW_MAX_BYTES) : full);
  const spans = tokenize(text);
  const kind = (flags >> 4) & 0xf || commandKind(spans);
  const lead = kind === KIND_NONE ? 0 : stripCommand(spans);
  const units = (flags & FLAG_JOINED) === 0 ? 0 : cutBytes === 0 ? lead + length(spans) : plainText(decoder.decode(full)).length;
  return { line, time, flags: flags & 0xf, kind, spans, cutBytes, lead, units, rewritten: rewrites(text) };
}

/** The text of a line's bytes as it is copied: no escape sequences, no command prefix, nothing cut. */
export function lineText(bytes: Uint8Array): string {
  return plainText(decoder.decode(trimLineEnd(bytes))).replace(COMMAND, "");
}

/** The row's text. */
export function rowText(row: Row): string {
  return row.spans.map((piece) => piece.text).join("");
}

function trimLineEnd(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end -= 1;
  while (end > 0 && bytes[end - 1] === 0x0d) end -= 1;
  return bytes.subarray(0, end);
}

function commandKind(spans: Span[]): number {
  const match = COMMAND.exec(spans[0]?.text ?? "");
  return match === null ? KIND_NONE : (KIND_OF[match[1] ?? ""] ?? KIND_NONE);
}

/** Answers how many characters went. */
function stripCommand(spans: Span[]): number {
  const first = spans[0];
  if (first === undefined) return 0;
  const before = first.text.length;
  first.text = first.text.replace(COMMAND, "");
  const gone = before - first.text.length;
  if (first.text === "") spans.shift();
  return gone;
}

/** How many characters some spans have. */
export function length(spans: readonly Span[]): number {
  return spans.reduce((sum, piece) => sum + piece.text.length, 0);
}
