#!/usr/bin/env bash
# Everything there is to check, from a clean checkout: format, lints, documentation, licences, every test.
#
#   tests/run.sh           everything; on Debian it installs what is missing, elsewhere it says what to install
#   tests/run.sh quick     what to run while working: format, lints, the libraries' tests, one whole journey
#   tests/run.sh PART...   these parts alone: format lints documentation building load tests redis clients nemesis
#                          websocket stage images dependencies fuzzing
#
# A part that fails says how to run it alone. The last line is "N passed, N failed"; the exit code is 0 only if
# everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."

all=(format lints documentation building load tests redis clients nemesis websocket stage images dependencies fuzzing)
quick=(format lints unit journey)

# What the tests need beside Rust: a C compiler for SQLite and the TLS library, make for the allocator, a C++ compiler for the fuzzer, a real
# browser, Python for the WebSocket conformance suite, for Authlib and to fetch axe-core, Redis with its Sentinel,
# slowhttptest for slow peers, sslscan, the languages of the sample clients, PHP and Apache as sites that people log in to
# (without Apache's service, which is in another package), the proxies that deploy/ configures, Prometheus for its alerts, and what judges its
# units.
packages=(gcc g++ make libc6-dev chromium chromium-driver fonts-noto-cjk python3 python3-venv redis-server redis-sentinel slowhttptest sslscan
    php-cli apache2-bin libapache2-mod-auth-openidc nodejs golang-go openssl nginx-light haproxy caddy prometheus systemd curl git util-linux sqlite3)
# An engine for the images, and what makes stand-ins for the images that a registry would give.
packages+=(debootstrap)
command -v docker >/dev/null || packages+=(docker.io docker-compose)

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

tools() {
    if ! command -v cargo >/dev/null; then
        echo 'Rust is missing: install it with rustup, with the components rustfmt and clippy' >&2
        exit 1
    fi
    cargo fmt --version && cargo clippy --version
    if ! command -v dpkg-query >/dev/null; then
        for tool in cc c++ chromium chromedriver python3 redis-server redis-sentinel slowhttptest sslscan php apache2 node go openssl nginx haproxy caddy prometheus promtool systemd-analyze docker; do
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

# With the programs of the earlier commit, because whoever builds them later keeps every other part's cargo waiting.
building() {
    cargo test --locked --workspace --no-run
    "${CARGO_TARGET_DIR:-target}/debug/examples/previous"
}
# What a page, a notice, a scan and a login cost, as ratios to servers that are measured beside them: the programs as tests have
# them, because another build would cost minutes. A session of its own goes before the other lanes.
load() {
    setsid --wait cargo run --locked --quiet --bin load -- all --quick && echo '1 passed, 0 failed'
}
# Most of these wait for a process or a clock, so more of them than there are cores run at once.
tests() {
    RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} cargo test --locked --workspace --exclude test-clients --exclude nemesis --no-fail-fast
}
# The sample clients in every language, and vectors of the internal wire over real sockets.
clients() { cargo test --locked --workspace --test samples --test gateway --test rust_client --no-fail-fast; }
# They break machines under a crowd and judge times: two at once, and one that measures alone.
nemesis() { cargo test --locked --workspace --test nemesis --no-fail-fast; }
# Once more what differs by store, with logins, counts and limits in Redis.
redis() {
    cargo build --locked --quiet --workspace --example with_redis &&
        RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} "${CARGO_TARGET_DIR:-target}/debug/examples/with_redis" cargo test --locked --no-fail-fast \
            --workspace --test journey --test many --test hostile --test limits --test vectors_http --test wechat_errors --test oidc
}
unit() { cargo test --locked --workspace --lib --no-fail-fast; }
journey() { cargo test --locked --workspace --test journey; }
dependencies() { tests/dependencies.sh; }
# What every image is made of, with none of the features of tests: here a warning would be the user's to read.
stage() {
    tests/images/base-images.sh rust
    tests/images/base-images.sh redis nginx prometheus &
    docker build --file deploy/Dockerfile --target build --tag saoma/build:local . 2>&1 | tee "$log/stage-warnings"
    wait $!
    ! grep -E '^.{0,9}warning: `[a-z-]+` \(' "$log/stage-warnings"
}
images() { tests/images/run.sh; }
websocket() { tests/websocket/run.sh; }
fuzzing() { tests/fuzz/run.sh; }

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

# What failed: a test by its name, a check of the images with what it said. For the end of the output, because what came
# before may be thousands of lines.
failures() { # log
    awk '
        /^test .* \.\.\. FAILED$/ { print $2 }
        /^FAILED: / { said = 1 }
        /^ok: |^-- |^[a-z]+: [0-9]+ passed, / { said = 0 }
        said' "$1"
}

passed=0 failed=0 again=() times=()
apart() { (set -e && "$1") 2>&1; }
# Runs a part; what it says goes to its log, and how it ended behind it: the exit code, seconds, and seconds of one processor.
execute() { # part
    local began=$SECONDS status TIMEFORMAT='%0U %0S'
    # Not in a condition, where bash would not stop at a command that fails.
    set +e
    { time apart "$1"; } 2>"$log/$1.used"
    status=$?
    set -e
    echo "$status $((SECONDS - began)) $(tail -n 1 "$log/$1.used" | awk '{ print $1 + $2 }')" >"$log/$1.ended"
}
ended() { # part
    local part=$1 status=1 took=0 used=0 more fewer
    read -r status took used <"$log/$part.ended" || true
    read -r more fewer < <(counts "$log/$part" "$status")
    passed=$((passed + more)) failed=$((failed + fewer))
    times+=("$(printf '%-14s %5d s %5d cpu s %5d passed, %d failed' "$part" "$took" "$used" "$more" "$fewer")")
    [ "$fewer" -ne 0 ] || return 0
    again+=("tests/run.sh $part")
    failures "$log/$part" >>"$log/failures"
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

# In a whole run one lane is shown live. Beside it run those that mostly wait, each as soon as what it needs is built; a part
# judges times, so they are no more than the machine bears. What only compiles gives way to all of them.
lanes=()
live() { # part...
    local part
    for part in "$@"; do
        title "$part"
        execute "$part" | tee "$log/$part"
        ended "$part"
    done
}
beside() { # part...
    local part
    for part in "$@"; do execute "$part" >"$log/$part"; done
}
if [ $# -gt 0 ]; then
    live "${parts[@]}"
else
    # An incremental build would only cost time where nothing is built.
    [ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
    # It mostly waits for the network.
    beside dependencies &
    lanes+=($!)
    beside stage &
    stage=$!
    # While that measures, nothing runs beside it but the stage, which compiles, and the network.
    live format lints documentation building load
    { tail --pid="$stage" -f /dev/null && beside images; } &
    lanes+=($!)
    { beside clients websocket; } &
    lanes+=($!)
    { renice -n 19 "$BASHPID" >/dev/null && tail --pid="$stage" -f /dev/null && beside fuzzing; } &
    lanes+=($!)
    # Nemesis judges times most of all, so it comes when most has ended.
    live tests redis nemesis
    for lane in "${lanes[@]}"; do wait "$lane" || true; done
    wait "$stage" || true
    for part in clients websocket stage images dependencies fuzzing; do
        title "$part"
        cat "$log/$part"
        ended "$part"
    done
fi

printf '\n== result\n'
printf '%s\n' "${times[@]}"
[ ! -s "$log/failures" ] || { echo 'failed:' && sed 's/^/    /' "$log/failures"; }
[ ${#again[@]} -eq 0 ] || printf 'again: %s\n' "${again[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
