#!/usr/bin/env bash
# Tests the images, the compose files and the scripts of deploy/ on a real engine. The images are built from the users'
# Dockerfile, checked, started as users start them, and used for logins. Needs Docker with compose (v1 or v2), python3,
# Chromium with its driver, and debootstrap where there is no image registry. `run.sh hosts redis` runs only these parts.
# The last line is "N passed, N failed"; the exit code is 0 only if everything passed.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(demo redis account hosts upgrade certificates release readme)
for part in "${parts[@]}"; do
    [ -x "tests/images/$part.sh" ] || { echo "there is no part \"$part\"" >&2 && exit 64; }
done

check 'the judge of logins finds what is wrong' python3 tests/images/crowd.py --self-test
must 'there is an engine' docker info
must 'there is compose' compose version
must 'images that are not built here' tests/images/base-images.sh
must 'the images are built' timeout 3000 "${docker_compose[@]}" -f deploy/compose.yaml build
must 'the browser is ready' cargo build --quiet --locked --workspace --example browser_login

for part in "${parts[@]}"; do
    printf '\n-- %s (%s s so far)\n' "$part" "$SECONDS"
    "tests/images/$part.sh" 2>&1 | tee "$work/part" || true
    # A part that died has no such last line, and counts as one failure.
    counts=$(sed -nE 's/^'"$part"': ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$work/part" | tail -n 1)
    read -r more fewer <<<"${counts:-0 1}"
    passed=$((passed + more)) failed=$((failed + fewer))
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
