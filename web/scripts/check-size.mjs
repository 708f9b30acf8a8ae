// Fails the build when what the first page loads, or any chunk loaded later, is over its budget.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const INITIAL_MAX_KB = 300;
const CHUNK_MAX_KB = 80;

const dist = new URL("../dist/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const kb = (path) => gzipSync(readFileSync(new URL(path, dist))).length / 1024;

const initial = [...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1]);
const initialKb = initial.reduce((sum, path) => sum + kb(path), 0);
const problems = [];
if (initialKb > INITIAL_MAX_KB) problems.push(`initial JavaScript is ${initialKb.toFixed(1)} KB gzip, the budget is ${INITIAL_MAX_KB}`);
console.log(`initial  ${initialKb.toFixed(1).padStart(6)} KB gzip of ${INITIAL_MAX_KB} (${initial.length} files)`);

for (const name of readdirSync(new URL("assets/", dist)).filter((name) => name.endsWith(".js"))) {
  const path = `assets/${name}`;
  if (initial.includes(path)) continue;
  const size = kb(path);
  console.log(`lazy     ${size.toFixed(1).padStart(6)} KB gzip of ${CHUNK_MAX_KB}  ${name}`);
  if (size > CHUNK_MAX_KB) problems.push(`${name} is ${size.toFixed(1)} KB gzip, the budget of a chunk is ${CHUNK_MAX_KB}`);
}
for (const problem of problems) console.error(`error: ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);
