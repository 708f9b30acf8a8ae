#!/usr/bin/env bash
# Builds the runner for Windows and runs its tests under Wine: a real millrace-runner.exe against a real server.
# Wine 8 (Debian 12) lacks bcryptprimitives.dll, which Rust's standard library loads; scripts/wine/ has the one function
# that it needs, in terms of another that Wine has. The tests that use all this are marked `#[ignore]`.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v wine >/dev/null && ! command -v wine64 >/dev/null; then
    echo "Wine was not found; scripts/setup.sh installs it on Linux" >&2
    exit 1
fi
target=x86_64-pc-windows-gnu
cargo build --locked -p millrace-runner --target "$target"
folder=$PWD/target/$target/debug
x86_64-w64-mingw32-gcc -shared -O2 -o "$folder/bcryptprimitives.dll" scripts/wine/bcryptprimitives.c -ladvapi32

export MILLRACE_WINDOWS_RUNNER=$folder/millrace-runner.exe
export WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES="bcryptprimitives=n;mscoree,mshtml="
WINEPREFIX=$(mktemp -d)
export WINEPREFIX
trap 'wineserver -k 2>/dev/null || true; rm -rf "$WINEPREFIX"' EXIT
cargo test --workspace --locked -- --ignored windows_
