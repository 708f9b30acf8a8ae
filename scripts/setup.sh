#!/usr/bin/env bash
# Installs what `make test` needs and is missing; says nothing when nothing is. What can't be installed from here is one
# line each that says what a person must do, and a failure at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=0
complain() {
    echo "missing: $1" >&2
    missing=1
}

# --- Needed before anything else ---------------------------------------------------------------------------------
command -v cargo >/dev/null || complain "Rust; install it from https://rustup.rs"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    complain "Node 20.19 or later with npm; install it from https://nodejs.org"
elif ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'; then
    complain "Node 20.19 or later (this is $(node --version)); install it from https://nodejs.org"
fi
command -v git >/dev/null || complain "git"
[ "$missing" -eq 0 ] || exit 1

# --- From the system's packages ----------------------------------------------------------------------------------
packages=()
want() { # command package
    command -v "$1" >/dev/null || packages+=("$2")
}
want curl curl
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
    packages+=(chromium)
fi
if [ "$(uname -s)" = Linux ]; then
    want cc build-essential
    want strace strace
    # The runner's sandbox.
    want bwrap bubblewrap
    want x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
    if ! command -v wine >/dev/null && ! command -v wine64 >/dev/null; then
        packages+=(wine wine64)
    fi
    # Clients of the remote cache: server/tests/it/peers.
    want javac default-jdk-headless
    want bazel bazel-bootstrap
    want gradle gradle
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "setup: apt-get install ${packages[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    else
        complain "${packages[*]}; on Debian or Ubuntu: sudo apt-get install ${packages[*]}"
    fi
fi

# --- Rust targets ------------------------------------------------------------------------------------------------
targets=(x86_64-pc-windows-gnu aarch64-apple-darwin)
if command -v rustup >/dev/null; then
    installed=$(rustup target list --installed)
    for target in "${targets[@]}"; do
        grep -qx "$target" <<<"$installed" || rustup target add "$target" ||
            complain "the Rust target $target; run: rustup target add $target"
    done
else
    for target in "${targets[@]}"; do
        [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
            complain "the Rust target $target (there is no rustup here to add it with)"
    done
fi

# --- Node packages -----------------------------------------------------------------------------------------------
scripts/web-modules.sh

# --- cargo-deny --------------------------------------------------------------------------------------------------
# Compiles for about four minutes, so it is kept outside the target folder, for every clone on this machine.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/millrace-tools
if [ ! -x "$tools/bin/cargo-deny" ] && ! command -v cargo-deny >/dev/null; then
    echo "setup: cargo install cargo-deny (takes about four minutes, once on a machine)"
    cargo install --quiet --locked --root "$tools" cargo-deny --version 0.20.2 ||
        complain "cargo-deny; run: cargo install --locked cargo-deny"
fi

# --- Clients of the remote cache ---------------------------------------------------------------------------------
if [ "$(uname -s)" = Linux ]; then
    scripts/peers-tools.sh || missing=1
fi

if [ "$missing" -ne 0 ]; then
    echo "setup: the tests need what is listed above" >&2
    exit 1
fi
