#!/usr/bin/env bash
# Builds web/dist, which the server embeds, unless it is newer than everything it is made of.
set -euo pipefail
cd "$(dirname "$0")/.."

sources=(web proto examples buf.gen.yaml buf.yaml)
newer() {
    find "${sources[@]}" \
        \( -path web/node_modules -o -path web/dist -o -path web/src/gen -o -path web/test-results \
        -o -path web/playwright-report -o -path web/e2e \) -prune -o -type f -newer web/dist/index.html -print -quit
}
if [ -f web/dist/index.html ] && [ -z "$(newer)" ]; then
    exit 0
fi
npm --prefix web run --silent build
# A build that leaves an old index.html as it is would be done again each time.
touch web/dist/index.html
