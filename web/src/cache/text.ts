// Whether bytes look like text, and that text without what only a terminal understands.

// A terminal's colours and the like: ESC [ ... letter.
const CONTROL = new RegExp(`${String.fromCharCode(27)}\\[[0-9;:?]*[A-Za-z]`, "g");

/** The text, or undefined when the bytes are something else. A character that is cut off at the end does not count. */
export function asText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true }).replace(CONTROL, "");
  } catch {
    return undefined;
  }
}
