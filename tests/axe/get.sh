#!/usr/bin/env bash
# Puts axe.min.js into a folder, once: get.sh FOLDER. It is axe-core, Deque's rules of accessibility (MPL-2.0), which a
# package for Python carries; nothing of that package runs. Needs python3 with venv, and a package index. Several may ask
# for the same folder at once.
set -euo pipefail
cd "$(dirname "$0")"

folder=$1
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
# The copy comes last, so that a half-made folder is made anew.
cmp -s requirements.txt "$folder/requirements.txt" && exit
rm -rf "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --target "$folder/package" --requirement requirements.txt
cp "$folder"/package/axe_playwright_python/axe.min.js "$folder/"
rm -rf "$folder/venv" "$folder/package"
cp requirements.txt "$folder/"
