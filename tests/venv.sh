#!/usr/bin/env bash
# Makes a Python environment with what a file of requirements names, once: venv.sh FOLDER REQUIREMENTS. Needs python3 with
# venv, and a package index. Several may ask for the same folder at once.
set -euo pipefail

folder=$1 requirements=$2
mkdir -p "$folder"
exec 9>"$folder.lock"
flock 9
# The copy comes last, so that a half-made environment is made anew.
cmp -s "$requirements" "$folder/requirements.txt" && exit
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
cp "$requirements" "$folder/requirements.txt"
