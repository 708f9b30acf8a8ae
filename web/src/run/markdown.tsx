// A small, safe Markdown: what step summaries use, made into React elements. There is no way from text to HTML here;
// what is not understood stays as it was written.
import type { ReactNode } from "react";

const MARKDOWN_MAX_CHARS = 200_000;
const QUOTE_MAX_DEPTH = 8;

export function Markdown({ text }: { text: string }) {
  const cut = text.length > MARKDOWN_MAX_CHARS;
  return (
    <div className="md break-words">
      {blocks(cut ? text.slice(0, MARKDOWN_MAX_CHARS) : text)}
      {cut && <p>… cut at {MARKDOWN_MAX_CHARS.toLocaleString("en")} characters.</p>}
    </div>
  );
}

function blocks(text: string, depth = 0): ReactNode[] {
  const lines = text.replaceAll("\r", "").split("\n");
  const out: ReactNode[] = [];
  let i = 0;
  const take = (more: (line: string) => boolean): string[] => {
    const from = i;
    while (i < lines.length && more(lines[i] ?? "")) i += 1;
    return lines.slice(from, i);
  };
  while (i < lines.length) {
    const line = lines[i] ?? "";
    const key = i;
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    const fence = /^\s*(```+|~~~+)/.exec(line);
    if (line.trim() === "") i += 1;
    else if (fence !== null) {
      i += 1;
      const body = take((each) => !each.trim().startsWith(fence[1] ?? "```"));
      i += 1;
      out.push(<pre key={key} tabIndex={0}>{body.join("\n")}</pre>);
    } else if (heading !== null) {
      i += 1;
      // A summary is inside a page: its first level is our third.
      const level = Math.min(6, (heading[1]?.length ?? 1) + 2);
      const Tag = `h${level}` as "h3" | "h4" | "h5" | "h6";
      out.push(<Tag key={key}>{inline(heading[2] ?? "")}</Tag>);
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      i += 1;
      out.push(<hr key={key} />);
    } else if (line.startsWith(">") && depth < QUOTE_MAX_DEPTH) {
      out.push(<blockquote key={key}>{blocks(take((each) => each.startsWith(">")).map((each) => each.replace(/^>\s?/, "")).join("\n"), depth + 1)}</blockquote>);
    } else if (BULLET.test(line) || NUMBER.test(line)) {
      const marker = BULLET.test(line) ? BULLET : NUMBER;
      const items = take((each) => marker.test(each) || /^\s{2,}\S/.test(each));
      out.push(list(key, marker, items));
    } else if (line.includes("|") && isTableRule(lines[i + 1])) {
      out.push(table(key, take((each) => each.includes("|"))));
    } else {
      out.push(<p key={key}>{inline(take((each) => each.trim() !== "" && !STARTS.test(each)).join("\n") || advance())}</p>);
    }
  }
  return out;

  function advance(): string {
    const line = lines[i] ?? "";
    i += 1;
    return line;
  }
}

const BULLET = /^\s*[-*+]\s+/;
const NUMBER = /^\s*\d{1,9}[.)]\s+/;
const STARTS = /^(#{1,6}\s|>|\s*```|\s*~~~|\s*[-*+]\s|\s*\d{1,9}[.)]\s)/;

function list(key: number, marker: RegExp, lines: string[]): ReactNode {
  const items: string[] = [];
  for (const line of lines) {
    if (marker.test(line) && (items.length === 0 || !/^\s{2,}/.test(line))) items.push(line.replace(marker, ""));
    else items[items.length - 1] = `${items.at(-1) ?? ""}\n${line.trim()}`;
  }
  const content = items.map((item, i) => {
    const box = /^\[([ xX])\]\s+/.exec(item);
    return <li key={i}>{box === null ? inline(item) : <>{box[1] === " " ? "☐ " : "☑ "}{inline(item.slice(box[0].length))}</>}</li>;
  });
  return marker === NUMBER ? <ol key={key}>{content}</ol> : <ul key={key}>{content}</ul>;
}

function isTableRule(line: string | undefined): boolean {
  return line !== undefined && line.includes("-") && /^[\s|:-]+$/.test(line);
}

function table(key: number, lines: string[]): ReactNode {
  const cells = (line: string) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const [head = "", , ...body] = lines;
  return (
    <table key={key}>
      <thead>
        <tr>{cells(head).map((cell, i) => <th key={i}>{inline(cell)}</th>)}</tr>
      </thead>
      <tbody>
        {body.map((line, row) => (
          <tr key={row}>{cells(line).map((cell, i) => <td key={i}>{inline(cell)}</td>)}</tr>
        ))}
      </tbody>
    </table>
  );
}

/** Code, links, bold, italic; the first that matches, from the left. */
const INLINE = /`([^`]+)`|\[([^\]]{1,500})\]\((https?:\/\/[^\s)]{1,2000})\)|(https?:\/\/[^\s<>)\]]{1,2000})|\*\*([^*]{1,2000})\*\*|__([^_]{1,2000})__|\*([^*\s][^*]{0,2000})\*|(?<!\w)_([^_\s][^_]{0,2000})_(?!\w)/;

function inline(text: string): ReactNode[] {
  const out: ReactNode[] = [];
  let rest = text;
  let key = 0;
  for (let match = INLINE.exec(rest); match !== null; match = INLINE.exec(rest)) {
    if (match.index > 0) out.push(...breaks(rest.slice(0, match.index), (key += 1)));
    out.push(piece(match, (key += 1)));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest !== "") out.push(...breaks(rest, key + 1));
  return out;
}

function piece(match: RegExpExecArray, key: number): ReactNode {
  const [, code, label, target, bare, strong, strong2, em, em2] = match;
  if (code !== undefined) return <code key={key}>{code}</code>;
  const href = target ?? bare;
  if (href !== undefined) {
    return (
      <a key={key} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {label ?? href}
      </a>
    );
  }
  const bold = strong ?? strong2;
  if (bold !== undefined) return <strong key={key}>{inline(bold)}</strong>;
  return <em key={key}>{inline(em ?? em2 ?? "")}</em>;
}

/** A line end within a paragraph is kept: summaries are written line by line. */
function breaks(text: string, key: number): ReactNode[] {
  return text.split("\n").flatMap((line, i) => (i === 0 ? [line] : [<br key={`${key} ${i}`} />, line]));
}
