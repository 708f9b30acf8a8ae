#!/usr/bin/env bash
# The browser tests of web/ against a server of their own. Arguments go to Playwright.
set -euo pipefail
cd "$(dirname "$0")/.."

for name in chromium chromium-browser google-chrome; do
    CHROMIUM=${CHROMIUM:-$(command -v "$name" || true)}
done
if [ -z "$CHROMIUM" ]; then
    echo "No Chromium was found. Install it (Debian: apt-get install chromium), or name it in CHROMIUM." >&2
    exit 1
fi
export CHROMIUM
exec scripts/with-server.sh npm --prefix web run --silent e2e -- "$@"
