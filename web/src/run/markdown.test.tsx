import { renderToStaticMarkup } from "react-dom/server";
import { expect, it } from "vitest";
import { Markdown } from "./markdown";

const html = (text: string) => renderToStaticMarkup(<Markdown text={text} />).replace(/^<div class="md break-words">|<\/div>$/g, "");

it.each([
  ["a paragraph", "one\ntwo", "<p>one<br/>two</p>"],
  ["headings are below the page's own", "# One\n## Two", "<h3>One</h3><h4>Two</h4>"],
  ["bold, italic, code", "**b** *i* _j_ `c*d*`", "<p><strong>b</strong> <em>i</em> <em>j</em> <code>c*d*</code></p>"],
  ["names with underscores stay", "a_b_c", "<p>a_b_c</p>"],
  ["lists", "- a\n- b\n\n1. c", "<ul><li>a</li><li>b</li></ul><ol><li>c</li></ol>"],
  ["boxes", "- [x] a\n- [ ] b", "<ul><li>☑ a</li><li>☐ b</li></ul>"],
  ["code blocks", "```sh\n<b> **x**\n```", '<pre tabindex="0">&lt;b&gt; **x**</pre>'],
  ["an open code block", "```\nx", '<pre tabindex="0">x</pre>'],
  ["tables", "| a | b |\n|---|---|\n| 1 | **2** |", "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><strong>2</strong></td></tr></tbody></table>"],
  ["quotes", "> a\n> b", "<blockquote><p>a<br/>b</p></blockquote>"],
  ["rules", "---", "<hr/>"],
  ["tags are text", "<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"],
  ["other schemes are text", "[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"],
  ["images are links to them", "![x](https://e.example/a.png)", '<p>!<a href="https://e.example/a.png" target="_blank" rel="noopener noreferrer nofollow">x</a></p>'],
])("%s", (_name, text, expected) => {
  expect(html(text)).toBe(expected);
});

it("never hangs, whatever comes", () => {
  const begin = performance.now();
  for (const part of ["-", "|-", "*", "_", "`", "[", "[a](", "> ", "#", "- ", "1. ", "\n", "**a", "|\n"]) html(part.repeat(Math.floor(20_000 / part.length)));
  expect(performance.now() - begin).toBeLessThan(5_000);
});
