// Browser tests. With MILLRACE_URL the specs under e2e/real run against that server; the others bring their own.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results/artifacts",
  // Generous: the machine may be building at the same time. The specs wait on conditions, not on time.
  timeout: 180_000,
  expect: { timeout: 15_000 },
  workers: 2,
  reporter: [["list"]],
  projects: [
    // One after the other: they share the server, which the first of them finds empty.
    ...(process.env.MILLRACE_URL === undefined ? [] : [{ name: "real", testMatch: "**/real/*.spec.ts", workers: 1 }]),
    { name: "made", testIgnore: "**/real/**" },
  ],
  use: {
    ...(process.env.MILLRACE_URL === undefined ? {} : { baseURL: process.env.MILLRACE_URL }),
    browserName: "chromium",
    headless: true,
    viewport: { width: 1360, height: 850 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    },
  },
});
