// One line of a log made ready to be shown: decoded, cut into spans, its workflow command recognised. Knows no DOM.
import { plainText, tokenize, type Span } from "./ansi";

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
  if (kind !== KIND_NONE) stripCommand(spans);
  return { line, time, flags: flags & 0xf, kind, spans, cutBytes };
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

function stripCommand(spans: Span[]): void {
  const first = spans[0];
  if (first === undefined) return;
  first.text = first.text.replace(COMMAND, "");
  if (first.text === "") spans.shift();
}
