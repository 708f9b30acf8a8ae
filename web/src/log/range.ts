// Links to lines: "?l=120" and "?l=120-180", counted from 1 as they are shown. Knows no router.

/** Lines from 1, both ends included. */
export interface Lines {
  first: number;
  last: number;
}

const LINE_MAX = 1_000_000_000_000;

/** Reads a link's lines; anything else than a line or a range is no range. */
export function parseLines(text: string | undefined): Lines | undefined {
  const match = /^(\d{1,13})(?:-(\d{1,13}))?$/.exec(text ?? "");
  if (match === null) return undefined;
  const a = Number(match[1]);
  const b = match[2] === undefined ? a : Number(match[2]);
  const first = Math.min(a, b);
  const last = Math.max(a, b);
  return first < 1 || last > LINE_MAX ? undefined : { first, last };
}

export function formatLines(lines: Lines): string {
  return lines.first === lines.last ? String(lines.first) : `${lines.first}-${lines.last}`;
}

/** What a click on a line's number selects: with shift, all from the line chosen before. */
export function clickLines(line: number, shift: boolean, before: Lines | undefined): Lines {
  if (!shift || before === undefined) return { first: line, last: line };
  return line < before.first ? { first: line, last: before.last } : { first: before.first, last: line };
}
