#!/usr/bin/env bash
# Runs the blocks of README.md marked ```sh readme-test, in order and as they stand there, in one shell, against the
# server at MILLRACE_URL (the README says http://localhost:8080). Usually: scripts/with-server.sh scripts/readme-test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

: "${MILLRACE_URL:?start one with: scripts/with-server.sh scripts/readme-test.sh}"
BLOCK_MAX_SECS=120

script=$(mktemp)
trap 'rm -f "$script"' EXIT
{
    echo 'set -eu'
    awk '/^```sh readme-test$/ { inside = 1; next } /^```$/ { inside = 0 } inside' README.md
} >"$script"
commands=$(grep -cv -e '^set -eu$' -e '^#' -e '^$' "$script" || true)
if [ "$commands" -eq 0 ]; then
    echo "README.md has no block marked \`\`\`sh readme-test" >&2
    exit 1
fi
# The binary of this build answers to `millrace`, as it does for a reader who installed it.
if [ -n "${MILLRACE_BIN:-}" ]; then
    PATH=$(dirname "$MILLRACE_BIN"):$PATH
fi
sed -i.bak "s#http://localhost:8080#$MILLRACE_URL#g" "$script"
rm -f "$script.bak"
output=$(mktemp)
trap 'rm -f "$script" "$output"' EXIT
status=0
timeout "$BLOCK_MAX_SECS" sh -x "$script" >"$output" 2>&1 || status=$?
cat "$output"
if [ "$status" -ne 0 ]; then
    echo "readme: a command of README.md failed (exit code $status; 124 means longer than $BLOCK_MAX_SECS s)" >&2
    exit 1
fi
# curl is content with any answer; what the reader is promised must be in it.
for wanted in '^started run [0-9a-f-]\{36\}$' '"runs":\[{' '^line 1$' '^line 3$' '^hello, cache$' '"record":{"value":"dmVyc2lvbiAxMiBpcyBsaXZl"' '"missingBlobDigests":\[{[^}]*"sizeBytes":"14"}\]'; do
    if ! grep -q -e "$wanted" "$output"; then
        echo "readme: nothing that README.md's commands printed matches $wanted" >&2
        exit 1
    fi
done
echo "readme: $commands lines ran as they stand in README.md"
echo "1 passed, 0 failed"
