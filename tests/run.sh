#!/usr/bin/env bash
# Everything there is to check, from a clean checkout: format, lints, documentation, licences, every test.
#
#   tests/run.sh           everything; on Debian it installs what is missing, elsewhere it says what to install
#   tests/run.sh quick     what to run while working: format, lints, tests without processes, one whole journey
#   tests/run.sh PART...   these parts alone: format lints documentation dependencies tests redis images websocket fuzzing
#
# A part that fails says how to run it alone. The last line is "N passed, N failed"; the exit code is 0 only if
# everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(format lints documentation tests redis dependencies images websocket fuzzing)
quick=(format lints unit journey)

# What the tests need beside Rust: a C compiler for SQLite and the TLS library, a C++ compiler for the fuzzer, a real
# browser, Python for the WebSocket conformance suite, Redis with its Sentinel, slowhttptest for slow peers, sslscan,
# the languages of the sample clients, the proxies that deploy/ configures, and what judges its units.
packages=(gcc g++ libc6-dev chromium chromium-driver fonts-noto-cjk python3 python3-venv redis-server redis-sentinel slowhttptest sslscan
    php-cli nodejs golang-go openssl nginx-light haproxy caddy systemd curl git util-linux sqlite3)
# An engine for the images, and what makes stand-ins for the images that a registry would give.
packages+=(debootstrap)
command -v docker >/dev/null || packages+=(docker.io docker-compose)

tools() {
    if ! command -v cargo >/dev/null; then
        echo 'Rust is missing: install it with rustup, with the components rustfmt and clippy' >&2
        exit 1
    fi
    cargo fmt --version && cargo clippy --version
    if ! command -v dpkg-query >/dev/null; then
        for tool in cc c++ chromium chromedriver python3 redis-server redis-sentinel slowhttptest sslscan php node go openssl nginx haproxy caddy systemd-analyze docker; do
            command -v "$tool" >/dev/null && continue
            echo "$tool is missing; on Debian it comes with: ${packages[*]}" >&2
            exit 1
        done
        return
    fi
    local missing=() as_root=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

format() {
    cargo fmt --all --check &&
        cargo fmt --manifest-path tests/fuzz/Cargo.toml --check &&
        cargo fmt --manifest-path protocol/fuzz/Cargo.toml --check
}
lints() { cargo clippy --locked --workspace --all-targets -- -D warnings; }
documentation() { RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet; }

# Most of these wait for a process or a clock, so more of them than there are cores run at once.
tests() { RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} cargo test --locked --workspace --no-fail-fast; }
# Once more what differs by store, with logins, counts and limits in Redis.
redis() {
    cargo build --locked --quiet --workspace --example with_redis &&
        RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} "${CARGO_TARGET_DIR:-target}/debug/examples/with_redis" cargo test --locked --no-fail-fast \
            --workspace --test journey --test many --test hostile --test limits --test vectors_http --test wechat_errors
}
unit() { cargo test --locked --workspace --lib --no-fail-fast; }
journey() { cargo test --locked --workspace --test journey; }
dependencies() { tests/dependencies.sh; }
images() { tests/images/run.sh; }
websocket() { tests/websocket/run.sh; }
fuzzing() { tests/fuzz/run.sh; }

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# How many passed and failed, as the part's own lines say. A part that died has no line, and one failure.
counts() { # log, exit code
    awk -v status="$2" '
        /^test result:/ { passed += $4; failed += $6 }
        /^([a-z]+: )?[0-9]+ passed, [0-9]+ failed$/ {
            # The parts of the images have a line each, and then one for all of them.
            if ($1 ~ /:$/) { own_passed += $2; own_failed += $4 } else { passed += $1; failed += $3; own_passed = own_failed = 0 }
        }
        END {
            passed += own_passed; failed += own_failed
            if (status != 0 && failed == 0) failed = 1
            print passed + 0, failed + 0
        }' "$1"
}

passed=0 failed=0 again=() times=()
# Runs a part; what it says goes to its log, and how it ended behind it.
execute() { # part
    local began=$SECONDS status
    # Not in a condition, where bash would not stop at a command that fails.
    set +e
    (set -e && "$1") 2>&1
    status=$?
    set -e
    echo "$status $((SECONDS - began))" >"$log/$1.ended"
}
ended() { # part
    local part=$1 status=1 took=0 more fewer
    read -r status took <"$log/$part.ended" || true
    read -r more fewer < <(counts "$log/$part" "$status")
    passed=$((passed + more)) failed=$((failed + fewer))
    times+=("$(printf '%-14s %5d s %5d passed, %d failed' "$part" "$took" "$more" "$fewer")")
    [ "$fewer" -eq 0 ] || again+=("tests/run.sh $part")
}
title() { printf '\n== %s (%s s so far)\n' "$1" "$SECONDS"; }

case ${1:-} in
    quick) parts=("${quick[@]}") ;;
    '') parts=("${all[@]}") ;;
    *) parts=("$@") ;;
esac
for part in "${parts[@]}"; do
    [[ " ${all[*]} ${quick[*]} " == *" $part "* ]] && continue
    echo "there is no part \"$part\"; the parts are: ${all[*]} ${quick[*]}" >&2
    exit 64
done
[ "${1:-}" = quick ] || {
    printf '== tools\n'
    tools
}

# Of everything, what measures no time goes beside the images, which mostly wait for Docker. What these are made from is
# fetched from the beginning on.
beside=()
if [ $# -eq 0 ]; then
    beside=(dependencies fuzzing websocket)
    tests/images/base-images.sh >"$log/base-images" 2>&1 &
    base_images=$!
fi
for part in "${parts[@]}"; do
    [[ " ${beside[*]} " != *" $part "* ]] || continue
    if [ "$part" = images ] && [ ${#beside[@]} -gt 0 ]; then
        # Should it fail, the images' own try says why.
        wait "$base_images" || true
        for other in "${beside[@]}"; do execute "$other" >"$log/$other"; done &
        others=$!
    fi
    title "$part"
    execute "$part" | tee "$log/$part"
    ended "$part"
done
if [ ${#beside[@]} -gt 0 ]; then
    wait "$others" || true
    for part in "${beside[@]}"; do
        title "$part"
        cat "$log/$part"
        ended "$part"
    done
fi

printf '\n== result\n'
printf '%s\n' "${times[@]}"
[ ${#again[@]} -eq 0 ] || printf 'again: %s\n' "${again[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
