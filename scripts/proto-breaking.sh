#!/usr/bin/env bash
# Fails when the .proto files as they are now would break a client built from those on main.
# The files of main are taken out by `git archive`: that works in worktrees and in shallow clones too.
set -euo pipefail
cd "$(dirname "$0")/.."

for base in origin/main main ""; do
    if [ -n "$base" ] && git rev-parse --quiet --verify "$base^{commit}" >/dev/null 2>&1; then
        break
    fi
done
if [ -z "$base" ]; then
    echo "proto: there is no branch main to compare with; nothing was compared"
    exit 0
fi
if ! git cat-file -e "$base:buf.yaml" 2>/dev/null || ! git cat-file -e "$base:proto" 2>/dev/null; then
    echo "proto: $base has no .proto files; nothing was compared"
    exit 0
fi
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive "$base" buf.yaml proto | tar -x -C "$old"
web/node_modules/.bin/buf breaking --against "$old"
