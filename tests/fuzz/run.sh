#!/usr/bin/env bash
# Fuzzing: every target searches for input of which its property (tests/properties) does not hold.
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     by default 20 s of each of the six, two at a time
#
# The targets of the internal wire are in protocol/fuzz, the others beside this script. What is built and collected stays
# in the target directory from run to run; the corpora are only read. Needs a C++ compiler. The last line is
# "fuzz: N passed, N failed"; the exit code is 0 only if every target ran for its time and found nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-20}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(event envelope query page_message frames handshake)

# The folder of a target: its Cargo.toml, corpora and words.
folder_of() {
    case $1 in
    frames | handshake) echo protocol/fuzz ;;
    *) echo tests/fuzz ;;
    esac
}
folders=$(for name in "${targets[@]}"; do folder_of "$name"; done | sort -u)

mkdir -p "${CARGO_TARGET_DIR:-target}/fuzz/artifacts"
work=$(cd "${CARGO_TARGET_DIR:-target}/fuzz" && pwd)

# What is fuzzed has to be what is shipped.
packages() { awk -F '"' '/^name = / { name = $2 } /^version = "/ { print name, $2 }' "$1" | LC_ALL=C sort; }
for folder in $folders; do
    others=$(LC_ALL=C comm -13 <(packages Cargo.lock) <(packages "$folder/Cargo.lock") |
        grep -vE '^(arbitrary|libfuzzer-sys|saoma-fuzz|saoma-protocol-fuzz) ' || true)
    if [ -n "$others" ] || ! cargo tree --locked --quiet --manifest-path "$folder/Cargo.toml" >/dev/null 2>&1; then
        echo "$folder/Cargo.lock has other packages than Cargo.lock; renew it:" >&2
        echo "    cp Cargo.lock $folder/ && cargo update --workspace --manifest-path $folder/Cargo.toml" >&2
        exit 1
    fi
done

source tests/cargo-tools.sh
cargo_tool cargo-fuzz

# The sanitizer and the coverage counters are unstable features, for which nightly is not needed.
export RUSTC_BOOTSTRAP=1 RUST_BACKTRACE=0
for folder in $folders; do
    cargo fuzz build --fuzz-dir "$folder" --target-dir "$work/build" >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        exit 1
    }
done

# Searches for its time. The exit code is 0 if it ran and found nothing.
search() { # target
    local name=$1 log=$work/$1.log folder artifact options
    folder=$(folder_of "$name")
    options=(--fuzz-dir "$folder" --target-dir "$work/build")
    mkdir -p "$work/corpus/$name"
    # New finds go to the first folder. A fuzzer that hangs must not hang everything.
    if timeout $((seconds + 120)) cargo fuzz run "${options[@]}" "$name" "$work/corpus/$name" "$folder/corpus/$name" \
        -- -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -dict="$folder/words.dict" -artifact_prefix="$work/artifacts/$name-" >"$log" 2>&1; then
        echo "$name: $(grep -oE '^Done [0-9]+ runs' "$log" | grep -oE '[0-9]+') inputs"
        return
    fi
    artifact=$(grep -oE "$work/artifacts/$name-[a-z]+-[0-9a-f]+" "$log" | tail -n 1 || true)
    if [ -z "$artifact" ]; then
        echo "$name: it did not run; see $log" >&2
        tail -n 10 "$log" >&2
        return 1
    fi
    grep -A 3 'panicked at' "$log" >&2 || grep 'ERROR: ' "$log" >&2 || true
    cat >&2 <<END
$name: the property does not hold of $artifact
    again:      RUSTC_BOOTSTRAP=1 PATH=$(dirname "$(command -v cargo-fuzz)"):\$PATH cargo fuzz run ${options[*]} $name $artifact
    as a test:  cp $artifact $folder/corpus/$name/what-it-shows && cargo test --workspace --test corpus
END
    return 1
}

# Two at a time: each keeps one core busy.
passed=0 failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
    searching=()
    for name in "${targets[@]:i:2}"; do
        search "$name" &
        searching+=($!)
    done
    for pid in "${searching[@]}"; do
        if wait "$pid"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
done

echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
