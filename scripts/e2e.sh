#!/usr/bin/env bash
# The browser tests of web/ against a server of their own. Arguments go to Playwright.
set -euo pipefail
cd "$(dirname "$0")/.."

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        : "${MILLRACE_CHROMIUM:=$(command -v "$name")}"
        break
    fi
done
if [ -z "${MILLRACE_CHROMIUM:-}" ]; then
    echo "No Chromium was found. Install it (Debian: apt-get install chromium), or name it in MILLRACE_CHROMIUM." >&2
    exit 1
fi
export MILLRACE_CHROMIUM
exec scripts/with-server.sh npm --prefix web run --silent e2e -- "$@"
