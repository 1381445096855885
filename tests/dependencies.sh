#!/usr/bin/env bash
# What we depend on: licences, sources, versions kept twice (deny.toml), and known advisories where their database can
# be had. cargo-deny stays in the target directory from run to run.
# The last line is "N passed, N failed"; the exit code is 0 only if everything passed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
mkdir -p "${CARGO_TARGET_DIR:-target}/deny"
work=$(cd "${CARGO_TARGET_DIR:-target}/deny" && pwd)
export PATH=$work/tools/bin:$PATH
if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $version" ]; then
    cargo install cargo-deny --quiet --locked --debug --version "$version" --root "$work/tools" --target-dir "$work/install"
fi

passed=0 failed=0
for what in licenses bans sources; do
    if cargo deny --offline check "$what" >"$work/$what.log" 2>&1; then
        passed=$((passed + 1))
        echo "$what: ok"
    else
        failed=$((failed + 1))
        echo "$what: refused; deny.toml says what is allowed" >&2
        tail -n 40 "$work/$what.log" >&2
    fi
done
# The database is fetched from the web; a machine without it says so and goes on.
if ! timeout 120 cargo deny fetch db >"$work/fetch.log" 2>&1; then
    echo 'advisories: NOT TRIED: their database cannot be reached from here'
elif cargo deny check --disable-fetch advisories >"$work/advisories.log" 2>&1; then
    passed=$((passed + 1))
    echo 'advisories: ok'
else
    failed=$((failed + 1))
    echo 'advisories: a crate in Cargo.lock has one' >&2
    tail -n 40 "$work/advisories.log" >&2
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
