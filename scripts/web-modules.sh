#!/usr/bin/env bash
# Brings web/node_modules in line with web/package-lock.json, and web/src/gen (the TypeScript client) with proto/;
# quick when they already are.
set -euo pipefail
cd "$(dirname "$0")/../web"

if ! command -v npm >/dev/null; then
    echo "npm was not found. Install Node 20.19 or later (https://nodejs.org), then run this again." >&2
    exit 1
fi
# npm writes node_modules/.package-lock.json last: missing or older than the lock file means not installed, or half.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi
generated=src/gen/millrace/v1/pipeline_pb.ts
if [ ! -f "$generated" ] || [ -n "$(find ../proto ../buf.gen.yaml -type f -newer "$generated" -print -quit)" ]; then
    npm run --silent gen
    touch "$generated"
fi
