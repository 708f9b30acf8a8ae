#!/usr/bin/env bash
# Runs a command against a server of its own: `millrace dev` on a free port with an empty data folder. The command gets
# MILLRACE_URL and MILLRACE_SERVER. Afterwards the server is stopped, and whatever it leaves behind is a failure.
# MILLRACE_BIN names the binary to use; by default the debug one, built as the tests build it.
set -euo pipefail
cd "$(dirname "$0")/.."

READY_MAX_SECS=60
STOP_MAX_SECS=30

if [ -z "${MILLRACE_BIN:-}" ]; then
    # The same build as `make test-rust`: other flags would give other features, and a second build of everything.
    cargo test --workspace --locked --lib --bins --tests --no-run --quiet
    MILLRACE_BIN=target/debug/millrace
fi
MILLRACE_BIN=$(realpath "$MILLRACE_BIN")
export MILLRACE_BIN

scratch=$(mktemp -d)
server=
stop() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        stop_server || status=1
    fi
    leftovers || status=1
    if [ "$status" -ne 0 ]; then
        echo "--- the server said:" >&2
        tail -n 40 "$scratch/server.err" >&2 || true
    fi
    rm -rf "$scratch"
    exit "$status"
}
stop_server() {
    for _ in $(seq $((STOP_MAX_SECS * 10))); do
        if ! kill -0 "$server" 2>/dev/null; then
            if wait "$server"; then return 0; fi
            echo "the server did not end cleanly" >&2
            return 1
        fi
        sleep 0.1
    done
    kill -KILL "$server" 2>/dev/null || true
    echo "the server still ran $STOP_MAX_SECS s after SIGTERM" >&2
    return 1
}
# A process that works in the scratch folder, or was started for it, outlived the server.
leftovers() {
    [ -d /proc/self ] || return 0
    local left=0 process
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd" 2>/dev/null || true)" in
            "$scratch"*)
                echo "left over: process ${process#/proc/} $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" >&2
                left=1
                ;;
        esac
    done
    return "$left"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$MILLRACE_BIN" dev --listen 127.0.0.1:0 --data "$scratch/data" >"$scratch/server.out" 2>"$scratch/server.err" &
server=$!
address=
for _ in $(seq $((READY_MAX_SECS * 10))); do
    address=$(sed -n 's/.*listening on \(http:\/\/[^ ]*\).*/\1/p' "$scratch/server.out" "$scratch/server.err" | head -n 1)
    [ -z "$address" ] || break
    if ! kill -0 "$server" 2>/dev/null; then
        echo "the server ended before it listened" >&2
        exit 1
    fi
    sleep 0.1
done
if [ -z "$address" ]; then
    echo "the server did not say \"listening on http://...\" within $READY_MAX_SECS s" >&2
    exit 1
fi

MILLRACE_URL=$address MILLRACE_SERVER=$address "$@"
