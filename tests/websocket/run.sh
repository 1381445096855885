#!/usr/bin/env bash
# WebSocket conformance: kosoku runs the Autobahn suite's cases against the gateway's connections with an echo
# in place of the login (247 cases), and against the gateway itself (the 134 cases that need no echo). Left out
# are compression (groups 12 and 13), which we do not speak, and group 9, which sends up to 16 MiB, far beyond
# our limits. Needs python3 with venv. The last line is "N passed, N failed"; the exit code is 0 only if every
# case ran and passed.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
work=$target/websocket
mkdir -p "$work"

# Time limit for a suite, in seconds.
limit=60
pids=()
stop() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}
trap stop EXIT

# Waits until a program that was just started has printed a line of this form, and prints the match.
said() { # log pattern
    for _ in {1..100}; do
        grep -m 1 -oE "$2" "$1" && return
        sleep 0.1
    done
    echo "it does not start:" >&2
    cat "$1" >&2
    return 1
}

passed=0 failed=0
# Runs cases and counts the passed ones in the suite's own index. The number of cases must be right.
run() { # name, how many, address, options
    local name=$1 cases=$2 address=$3 ok
    shift 3
    rm -rf "$work/$name"
    timeout "$limit" "$kosoku" -p 16 -o "$work/$name" "$@" "$address" >"$work/$name.log" 2>&1 || true
    ok=$(python3 - "$work/$name/index.json" "$cases" <<'END'
import json, sys

try:
    with open(sys.argv[1]) as index:
        (results,) = json.load(index).values()
except OSError:
    results = {}
fine = {"OK", "NON-STRICT", "INFORMATIONAL"}
bad = {case: it for case, it in results.items() if not {it["behavior"], it["behaviorClose"]} <= fine}
for case, it in bad.items():
    print("failed:", case, it, file=sys.stderr)
pinned = int(sys.argv[2])
if len(results) != pinned:
    print(f"{len(results)} cases ran instead of {pinned}", file=sys.stderr)
print(max(0, pinned - len(bad) - abs(len(results) - pinned)))
END
)
    [ "$ok" -eq "$cases" ] || tail -n 5 "$work/$name.log" >&2
    echo "$name: $ok of $cases"
    passed=$((passed + ok)) failed=$((failed + cases - ok))
}

kosoku=$work/venv/bin/kosoku
if ! "$kosoku" --help >/dev/null 2>&1; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check kosoku==0.1.0
fi
cargo build --locked --quiet --workspace --bin ws-gateway --example echo

"$target/debug/examples/echo" >"$work/echo.out" 2>&1 &
pids+=($!)
run echo 247 "$(said "$work/echo.out" '^127.0.0.1:[0-9]+$')" -x '9.*' -x '12.*' -x '13.*'
stop

# Some cases compare every message, but the gateway sends one as soon as it has a QR code. So its WeChat here
# accepts every call and never answers. The gateway then has nothing to send for 8 s, the limit of a call.
python3 -u -c '
import socket, time
silent = socket.create_server(("127.0.0.1", 0), backlog=512)
print("127.0.0.1:%d" % silent.getsockname()[1])
time.sleep(600)
' >"$work/silent.out" 2>&1 &
pids+=($!)
silent=$(said "$work/silent.out" '^127.0.0.1:[0-9]+$')
GATEWAY_LISTEN=127.0.0.1:0 GATEWAY_NOTIFY_LISTEN=127.0.0.1:0 GATEWAY_ADMIN_LISTEN=127.0.0.1:0 \
    GATEWAY_DRAIN_TIME=0s GATEWAY_ADDRESS_RATE=10000 GATEWAY_QR_PER_DAY=1000000 NOTIFY_KEY='a key that nobody uses in this test' \
    WECHAT_APP_ID=wx0123456789abcdef WECHAT_APP_SECRET=secret WECHAT_API_URL="http://$silent" \
    RUST_LOG=info LOG_FORMAT=json "$target/debug/ws-gateway" >"$work/gateway.out" 2>&1 &
pids+=($!)
address=$(said "$work/gateway.out" '"browsers":"127.0.0.1:[0-9]+"' | grep -oE '[0-9.]+:[0-9]+')
only=()
while read -r case; do
    only+=(-i "$case")
done < <(grep -v '^#' tests/websocket/gateway-cases.txt)
run gateway 134 "$address" "${only[@]}"
stop

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
