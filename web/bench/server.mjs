// The server that a browser benchmark measures: `millrace dev` on a free port with an empty data folder, and Chromium
// beside it. Both are ended, and the folder removed, however the benchmark ends.
//
// CHROMIUM names the browser [default: /usr/bin/chromium].
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "@playwright/test";

const RELEASE = new URL("../../target/release/millrace", import.meta.url).pathname;

/** Calls `measure(browser, url)`. `millrace`: the binary [default: the release build]; `scratch`: where the data goes. */
export async function withServer({ millrace = RELEASE, scratch = tmpdir(), chromiumArgs = [] }, measure) {
  const folder = await mkdtemp(join(scratch, "millrace-bench-"));
  const server = spawn(millrace, ["dev", "--listen", "127.0.0.1:0", "--data", join(folder, "data"), "--slots", "1"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let browser;
  try {
    const url = await address(server.stdout);
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", ...chromiumArgs],
    });
    await measure(browser, url);
  } finally {
    await browser?.close();
    server.kill("SIGTERM");
    if (server.exitCode === null) await once(server, "exit");
    await rm(folder, { recursive: true, force: true });
  }
}

async function address(output) {
  for await (const line of createInterface({ input: output })) {
    const found = /listening on (http:\S+)/.exec(line);
    if (found) return found[1];
  }
  throw new Error("the server ended before it listened");
}
