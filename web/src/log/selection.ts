// The browser's selection over the rows of a log: whether there is one, and its text without line numbers, times and
// signs. Rows stand in the DOM in no certain order; the lines say it.
import { rowText, type Row } from "./row";

/** Whether something in these rows is selected. */
export function isSelecting(rowsEl: HTMLElement): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && rowsEl.contains(selection.anchorNode);
}

/** The selected text, a line each; empty when there is none. */
export function selectedText(rowsEl: HTMLElement, drawn: ReadonlyMap<number, { el: HTMLElement }>, rows: ReadonlyMap<number, Row>): string[] {
  const selection = getSelection();
  if (selection === null || selection.rangeCount === 0 || !isSelecting(rowsEl)) return [];
  const range = selection.getRangeAt(0);
  const lines: string[] = [];
  for (const [line, { el }] of [...drawn].sort((a, b) => a[0] - b[0])) {
    const body = el.querySelector(".lx");
    const row = rows.get(line);
    if (body === null || row === undefined || !range.intersectsNode(body)) continue;
    lines.push(range.comparePoint(body, 0) === 0 && range.comparePoint(body, body.childNodes.length) === 0 ? rowText(row) : partOf(body, range));
  }
  return lines;
}

/** The selected part of a row's text. */
function partOf(body: Element, range: Range): string {
  const part = document.createRange();
  part.selectNodeContents(body);
  if (body.contains(range.startContainer)) part.setStart(range.startContainer, range.startOffset);
  if (body.contains(range.endContainer)) part.setEnd(range.endContainer, range.endOffset);
  return part.toString();
}
