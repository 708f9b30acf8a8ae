#!/usr/bin/env bash
# A server and a runner on PORT, this repository's own pipeline on it, and then a server until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

PORT=${PORT:-8080}
DATA=${DATA:-./data}
STOP_MAX_SECS=30
millrace=${MILLRACE_BIN:-target/release/millrace}
url=http://localhost:$PORT

server=
client=
output=$(mktemp)
# The client asks the server to cancel its run, so it is the first to be told.
stop() {
    trap '' INT TERM
    for process in $client $server; do
        signal=TERM
        [ "$process" != "$client" ] || signal=INT
        kill -"$signal" "$process" 2>/dev/null || continue
        for _ in $(seq $((STOP_MAX_SECS * 10))); do
            kill -0 "$process" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$process" 2>/dev/null || true
    done
    rm -f "$output"
}
trap stop EXIT
trap 'exit 0' INT TERM

# Each in a process group of its own: a Ctrl-C reaches this script alone, which stops them in order, once.
set -m
"$millrace" dev --listen "127.0.0.1:$PORT" --data "$DATA" > >(trap '' INT; exec tee "$output") &
server=$!
set +m
until grep -qE 'listening on http://|^Web +http://' "$output"; do
    if ! kill -0 "$server" 2>/dev/null; then
        status=0
        wait "$server" || status=$?
        server=
        exit "$status"
    fi
    sleep 0.1
done

echo
echo "\$ millrace run examples/self.yml --server $url"
set -m
"$millrace" run examples/self.yml --progress plain --server "$url" &
client=$!
set +m
result=0
wait "$client" || result=$?
client=
echo
if [ "$result" -eq 0 ]; then
    echo "The run succeeded. Serving at $url/ until Ctrl-C."
else
    echo "The run ended with exit code $result. Serving at $url/ until Ctrl-C."
fi
wait "$server"
