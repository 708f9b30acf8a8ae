#!/usr/bin/env bash
# cargo-deny with the checks named as arguments. Licences, bans and sources need no network.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=target/tools/bin/cargo-deny
if [ ! -x "$tool" ]; then
    tool=$(command -v cargo-deny || true)
fi
if [ -z "$tool" ]; then
    echo "deny: cargo-deny is not installed; dependencies were not checked (scripts/setup.sh --deny installs it)"
    exit 0
fi
offline=(--offline)
case " $* " in *" advisories "*) offline=() ;; esac
"$tool" --locked "${offline[@]}" --all-features check --hide-inclusion-graph "$@"
