// How the pages are built and served while developing. Knows nothing of the pages themselves.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.MILLRACE_URL ?? "http://localhost:8080";
const { version } = JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8")) as { version: string };

export default defineConfig({
  plugins: [react(), tailwindcss()],
  define: { __VERSION__: JSON.stringify(version) },
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2023",
    // The content security policy allows no inline code, and data: only for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  server: {
    fs: { allow: [".."] },
    proxy: Object.fromEntries(["/millrace.v1.", "/build.bazel.", "/google.bytestream.", "/google.longrunning.", "^(/.*)?/(cas|ac)/", "/log.v1.", "/api", "^/logs/[^/]+/raw", "/healthz", "/version", "/login"].map((path) => [path, server])),
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});
