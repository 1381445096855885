#!/usr/bin/env bash
# Tests deploy/release.sh: its files are complete, name their version and commit, and work. run.sh builds the images first,
# so that every layer is in the engine's cache. Needs Docker and git.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh
source tests/images/tree.sh

release() { "$tree/deploy/release.sh" "$@"; }
# expression, command: the command exits with 64 and prints the expression.
refuses() {
    local expression=$1 code=0
    shift
    "$@" >"$work/refused" 2>&1 || code=$?
    cat "$work/refused"
    [ "$code" -eq 64 ] && grep -qE -e "$expression" "$work/refused"
}

must 'a commit of this checkout' copy_tree
number=$(cargo metadata --no-deps --format-version 1 --offline |
    python3 -c 'import json, sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "ws-gateway"))')
version=$(tree_version)
images_as_before "$version"
images_as_before "$number"
check 'its version is that of the programs' [ "${version%-*}" = "$number" ]
programs=(ws-gateway callback-service)
images=(ws-gateway callback-service simulator)

check 'no such option' refuses 'there is no option --push' release --push
check 'one folder at most' refuses 'one folder at most' release a b
echo >>"$tree/README.md"
touch "$tree/notes"
check 'a changed file' refuses '^ M README\.md$' release "$work/dirty"
check 'a file that git does not know' refuses '^\?\? notes$' release "$work/dirty"
check 'and nothing was made' [ -z "$(ls "$work/dirty")" ]
in_tree git checkout --quiet README.md && rm "$tree/notes"
check 'help' says 'OUT_DIR' release --help

must 'a release' release "$work/first"
must 'and another' release "$work/second"
platform=$(docker version --format '{{ .Server.Os }}-{{ .Server.Arch }}')
tarball=saoma-$version-$platform.tar.gz archive=saoma-$version-images-$platform.tar.gz
check 'three files and no more' [ "$(find "$work/first" -type f -printf '%f\n' | LC_ALL=C sort | tr '\n' ' ')" = "SHA256SUMS $archive $tarball " ]
check 'twice the same tarball' cmp "$work/first/$tarball" "$work/second/$tarball"

verify() { (cd "$1" && sha256sum --check --strict SHA256SUMS); }
check 'its sums are right' verify "$work/first"
flipped() { # file: flips a bit in its middle, which the sums must notice
    python3 -c '
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[1], "wb").write(data)' "$work/second/$1" && fails verify "$work/second"
}
check 'one bit of the tarball matters' flipped "$tarball"
cp "$work/first/$tarball" "$work/second/"
check 'one bit of the images matters' flipped "$archive"

must 'it unpacks' tar -xzf "$work/first/$tarball" -C "$work"
root=$work/saoma-$version
check 'it says what it is' says "^version $version\$" cat "$root/VERSION"
check 'and of which commit' says "^commit $(in_tree git rev-parse HEAD)\$" cat "$root/VERSION"
for program in "${programs[@]}"; do
    check "$program says its version" says "^$program $number\$" "$root/bin/$program" --version
    check "$program: a plain file that runs" [ "$(stat -c %a "$root/bin/$program")" = 755 ]
done
newest() { objdump -T "$root/bin/"* | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1; }
glibc=$(newest)
check 'they need the glibc that deploy/README.md says' grep -F "glibc ${glibc#GLIBC_}, the newest" deploy/README.md
for file in README.md CHANGELOG.md LICENSE ARCHITECTURE.md protocol/PROTOCOL.md protocol/vectors.json protocol/clients/notify.py deploy/README.md \
    deploy/compose.yaml deploy/compose.account.yaml deploy/compose.redis.yaml deploy/compose.gateway.yaml deploy/compose.callback.yaml \
    deploy/certificates.sh deploy/replace.sh deploy/nginx.conf deploy/Caddyfile deploy/haproxy.cfg \
    deploy/systemd/{ws-gateway,callback-service}.{service,env}; do
    check "$file is in it, as it is here" cmp "$file" "$root/$file"
done
# Files for building, and files of an operator's own, must not be in it.
sources() { find "$root" \( -name '*.rs' -o -name Cargo.toml -o -name Dockerfile -o -name .env -o -name secrets \) | grep .; }
check 'no sources, and no secrets' fails sources
check 'what deploy/README.md points to is in it' python3 tests/images/links.py "$root" deploy/README.md
owners() { tar --numeric-owner -tvzf "$work/first/$tarball" | awk '{ print $2, $4, $5 }' | sort -u; }
check 'all of it is of one moment, and of root' [ "$(owners | wc -l)" -eq 1 ]
check 'that is root' says '^0/0 ' owners
check "the certificates' script runs from it" "$root/deploy/certificates.sh" "$work/certificates" gateway.internal

# The units name /usr/local/bin, which is empty here. So the check replaces it by the unpacked folder's path.
units() {
    mkdir -p "$work/units"
    for program in "${programs[@]}"; do
        sed "s|/usr/local/bin/|$root/bin/|" "$root/deploy/systemd/$program.service" >"$work/units/$program.service"
    done
    systemd-analyze verify "$work/units/"*.service
}
if command -v systemd-analyze >/dev/null; then check 'its units are sound' units; else echo 'no systemd-analyze here: units are not judged'; fi

# The archive must restore the same images, with the same programs as in the tarball.
identities() { for image in "${images[@]}"; do docker image inspect --format '{{ .Id }}' "saoma/$image:$version"; done; }
identities >"$work/before"
forget() { docker rmi "${images[@]/#/saoma/}"; }
images=("${images[@]/%/:$version}")
must 'the images are forgotten' forget
images=("${images[@]/%:$version/}")
check 'and are gone' fails identities
check 'their archive is loaded' docker load --input "$work/first/$archive"
check 'as the very same images' cmp "$work/before" <(identities)
for program in "${programs[@]}"; do
    check "$program: the image says its version" says "^$program $number\$" docker run --rm --network none "saoma/$program:$version" --version
    same() {
        local container status=0
        container=$(docker create "saoma/$program:$version")
        docker cp "$container:/usr/local/bin/$program" "$work/$program" || status=$?
        docker rm "$container" >/dev/null
        [ "$status" -eq 0 ] && cmp "$work/$program" "$root/bin/$program"
    }
    check "$program: the image's is the tarball's" same
done

# A tagged commit.
in_tree git tag "v$number"
check 'a tag without a heading in the changelog' refuses "no heading for $number" release "$work/third"
sed -i "s/^## Unreleased\$/## $number/" "$tree/CHANGELOG.md"
must 'a commit with the heading' commit_tree
in_tree git tag --force "v$number" >/dev/null
check 'is released by its number alone' release "$work/third"
check 'that is what the tarball is called' test -f "$work/third/saoma-$number-$platform.tar.gz"
check 'and the image' docker image inspect "saoma/ws-gateway:$number"

report
