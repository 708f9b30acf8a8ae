#!/usr/bin/env bash
# cargo-deny with the checks named as arguments. Licences, bans and sources need no network
# beyond the crates themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-tools/bin/cargo-deny
if [ ! -x "$tool" ]; then
    tool=$(command -v cargo-deny || true)
fi
if [ -z "$tool" ]; then
    echo "cargo-deny was not found; scripts/setup.sh installs it" >&2
    exit 1
fi
exec "$tool" --locked --all-features check --hide-inclusion-graph "$@"
