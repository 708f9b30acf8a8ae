// The browser's selection over the rows of a log: whether there is one, and its text without line numbers, times and
// signs. Rows stand in the DOM in no certain order; the lines say it.
import { FLAG_JOINED, rowText, type Row } from "./row";

/** Whether something in these rows is selected. */
export function isSelecting(rowsEl: HTMLElement): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && rowsEl.contains(selection.anchorNode);
}

/** The selected text, pieces of one line put together; undefined when there is none. */
export function selectedText(rowsEl: HTMLElement, drawn: ReadonlyMap<number, { el: HTMLElement }>, rows: ReadonlyMap<number, Row>): { text: string; first: number; last: number; cut: boolean } | undefined {
  const selection = getSelection();
  if (selection === null || selection.rangeCount === 0 || !isSelecting(rowsEl)) return undefined;
  const range = selection.getRangeAt(0);
  const lines: number[] = [];
  let text = "";
  let cut = false;
  let whole = true;
  for (const [line, { el }] of [...drawn].sort((a, b) => a[0] - b[0])) {
    const body = el.querySelector(".lx");
    const row = rows.get(line);
    if (body === null || row === undefined || !range.intersectsNode(body)) continue;
    const all = range.comparePoint(body, 0) === 0 && range.comparePoint(body, body.childNodes.length) === 0;
    if (lines.length > 0 && ((rows.get(line - 1)?.flags ?? 0) & FLAG_JOINED) === 0) text += "\n";
    text += all ? rowText(row) : partOf(body, range);
    lines.push(line);
    cut ||= row.cutBytes > 0;
    whole &&= all;
  }
  const first = lines[0];
  const last = lines.at(-1);
  return first === undefined || last === undefined ? undefined : { text, first, last, cut: cut && whole };
}

/** The selected part of a row's text. */
function partOf(body: Element, range: Range): string {
  const part = document.createRange();
  part.selectNodeContents(body);
  if (body.contains(range.startContainer)) part.setStart(range.startContainer, range.startOffset);
  if (body.contains(range.endContainer)) part.setEnd(range.endContainer, range.endOffset);
  return part.toString();
}
