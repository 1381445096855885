#!/usr/bin/env bash
# What we depend on: licences, sources, versions kept twice (deny.toml), and known advisories where their database can
# be had.
# The last line is "N passed, N failed"; the exit code is 0 only if everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."

source tests/cargo-tools.sh
cargo_tool cargo-deny
mkdir -p "${CARGO_TARGET_DIR:-target}/deny"
work=$(cd "${CARGO_TARGET_DIR:-target}/deny" && pwd)

passed=0 failed=0
# what, what it means if it is refused, command
judge() {
    local what=$1 means=$2
    shift 2
    if "$@" >"$work/$what.log" 2>&1; then
        passed=$((passed + 1))
        echo "$what: ok"
        return
    fi
    failed=$((failed + 1))
    echo "$what: $means" >&2
    tail -n 40 "$work/$what.log" >&2
}
# The checks look at every platform's crates, of which a build here has fetched only its own.
cargo fetch --locked --quiet
for what in licenses bans sources; do
    judge "$what" 'refused; deny.toml says what is allowed' cargo deny --offline check "$what"
done
# The database is fetched from the web; a machine without it says so and goes on.
if timeout 120 cargo deny fetch db >"$work/fetch.log" 2>&1; then
    judge advisories 'a crate in Cargo.lock has one' cargo deny check --disable-fetch advisories
else
    echo 'advisories: NOT TRIED: their database cannot be reached from here'
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
