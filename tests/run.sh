#!/usr/bin/env bash
# Everything there is to check, from a clean checkout: format, lints, documentation, every test.
# On Debian it installs what is missing; elsewhere it says what to install.
# The last line is "N passed, N failed"; the exit code is 0 only if everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."

section() { printf '\n== %s (%s s so far)\n' "$1" "$SECONDS"; }

# What the tests need beside Rust: a C compiler for SQLite and the TLS library, a C++ compiler for the fuzzer, a
# real browser, Python for the WebSocket conformance suite, Redis with its Sentinel, slowhttptest for slow peers, sslscan,
# the languages of the sample clients, the proxies that deploy/ configures, and what judges its units.
packages=(gcc g++ libc6-dev chromium chromium-driver fonts-noto-cjk python3 python3-venv redis-server redis-sentinel slowhttptest sslscan
    php-cli nodejs golang-go openssl nginx-light haproxy caddy systemd curl git util-linux sqlite3)
# An engine for the images, and what makes stand-ins for the images that a registry would give.
packages+=(debootstrap)
command -v docker >/dev/null || packages+=(docker.io docker-compose)

section 'tools'
if ! command -v cargo >/dev/null; then
    echo 'Rust is missing: install it with rustup, with the components rustfmt and clippy' >&2
    exit 1
fi
cargo fmt --version && cargo clippy --version
if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        echo "installing: ${missing[*]}"
        "${as_root[@]}" apt-get update -qq
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
else
    for tool in cc c++ chromium chromedriver python3 redis-server redis-sentinel slowhttptest sslscan php node go openssl nginx haproxy caddy systemd-analyze docker; do
        command -v "$tool" >/dev/null && continue
        echo "$tool is missing; on Debian it comes with: ${packages[*]}" >&2
        exit 1
    done
fi

section 'format'
cargo fmt --all --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
cargo fmt --manifest-path protocol/fuzz/Cargo.toml --check

section 'lints'
cargo clippy --locked --workspace --all-targets -- -D warnings

section 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items --quiet

section 'tests'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$log" || status=$?

# Once more, with logins, counts and limits in Redis.
section 'the same on Redis'
cargo build --locked --quiet --workspace --example with_redis
"${CARGO_TARGET_DIR:-target}/debug/examples/with_redis" cargo test --locked --no-fail-fast --workspace --test journey \
    --test many --test hostile --test limits --test vectors_http --test wechat_errors 2>&1 | tee -a "$log" || status=$?

section 'images'
tests/images/run.sh 2>&1 | tee -a "$log" || status=$?

section 'WebSocket conformance'
tests/websocket/run.sh 2>&1 | tee -a "$log" || status=$?

section 'fuzzing'
tests/fuzz/run.sh 2>&1 | tee -a "$log" || status=$?

section 'result'
awk -v status="$status" '
    /^test result:/ { passed += $4; failed += $6 }
    /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
    /^fuzz: [0-9]+ passed, [0-9]+ failed$/ { passed += $2; failed += $4 }
    END {
        # A test program that did not build or died has no result line of its own.
        if (status != 0 && failed == 0) failed = 1
        printf "%d passed, %d failed\n", passed, failed
    }' "$log"
exit "$status"
