#!/usr/bin/env bash
# Makes what is given out: a tarball of programs and all that deploying needs, the images, and their checksums.
#
#     deploy/release.sh [OUT_DIR]        # default: target/release-files
#
# The version is that of Cargo.toml. On a commit that has the tag v<version> it is that alone, and CHANGELOG.md must have a
# heading for it; elsewhere it is <version>-<commit>. Needs git, Docker, and GNU tar; the programs come out of the images,
# so both hold the same bytes.
set -euo pipefail

wrong() {
    echo "release.sh: $1" >&2
    exit 64
}
case ${1-} in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit ;;
    -*) wrong "there is no option $1; see --help" ;;
esac
[ $# -le 1 ] || wrong 'one folder at most: release.sh [OUT_DIR]'
out=${1-}
[ -z "$out" ] || { mkdir -p "$out" && out=$(cd "$out" && pwd); }
cd "$(dirname "$0")/.."
[ -n "$out" ] || { out=$PWD/target/release-files && mkdir -p "$out"; }

for tool in git docker gzip sha256sum; do
    command -v "$tool" >/dev/null || wrong "$tool is missing"
done
tar --version 2>/dev/null | grep -q 'GNU tar' || wrong 'tar is not GNU tar'
docker version --format '{{ .Server.Version }}' >/dev/null || wrong 'the Docker engine does not answer'

changed=$(git status --porcelain) || wrong 'this is no checkout of git'
[ -z "$changed" ] || wrong "a release is of a commit, and these files are not as in it; commit or remove them:
$changed"

version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$version" ] || wrong 'Cargo.toml has no version under [workspace.package]'
commit=$(git rev-parse HEAD)
if git tag --points-at HEAD | grep -qxF "v$version"; then
    grep -qE "^## \[?v?${version//./\\.}\]?( |$)" CHANGELOG.md || wrong "CHANGELOG.md has no heading for $version: give \"Unreleased\" its number"
else
    # Not +, because the name of an image may not contain it.
    version+=-$(git rev-parse --short=12 HEAD)
fi

work=$(mktemp -d)
container=''
end() {
    [ -z "$container" ] || docker rm "$container" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

images=()
for target in ws-gateway callback-service simulator; do
    image=saoma/$target:$version
    echo "building $image"
    docker build --file deploy/Dockerfile --target "$target" --tag "$image" . >"$work/log" 2>&1 ||
        { tail -n 40 "$work/log" >&2 && exit 1; }
    images+=("$image")
done
platform=$(docker image inspect --format '{{ .Os }}-{{ .Architecture }}' "${images[0]}")

# What an operator needs, unchanged from the commit. Sources and build files stay in the repository.
name=saoma-$version
root=$work/$name
mkdir -p "$root/bin"
git archive HEAD README.md README.zh-CN.md ARCHITECTURE.md CHANGELOG.md LICENSE docs protocol/PROTOCOL.md protocol/vectors.json protocol/clients deploy \
    ':!deploy/Dockerfile' ':!deploy/release.sh' | tar -x -C "$root"
for program in ws-gateway callback-service; do
    container=$(docker create "saoma/$program:$version")
    docker cp "$container:/usr/local/bin/$program" "$root/bin/$program"
    docker rm "$container" >/dev/null
    container=''
    chmod 755 "$root/bin/$program"
done
printf 'version %s\ncommit %s\n' "$version" "$commit" >"$root/VERSION"

# The same commit and images give the same bytes: sorted names, a fixed owner, and the commit's time.
programs=$name-$platform.tar.gz
tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mode='u=rwX,go=rX' --mtime="@$(git log -1 --format=%ct)" \
    -C "$work" -c "$name" | gzip -n -9 >"$work/$programs"
archive=$name-images-$platform.tar.gz
docker save "${images[@]}" | gzip -n >"$work/$archive"
(cd "$work" && sha256sum "$programs" "$archive" >SHA256SUMS)

# Each file appears complete or not at all, and the sums come last.
for file in "$programs" "$archive" SHA256SUMS; do
    cp "$work/$file" "$out/.$file.new"
    mv "$out/.$file.new" "$out/$file"
done
echo "$version, in $out:"
cat "$out/SHA256SUMS"
