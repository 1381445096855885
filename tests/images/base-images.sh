#!/usr/bin/env bash
# Makes stand-ins for the base images that deploy/Dockerfile names, on a machine that reaches no image registry, so that
# the very same Dockerfile is built and run there. An image that is present or can be pulled is left alone.
#
# A stand-in is Debian with gcc, this machine's own Rust toolchain, and the crates of Cargo.lock, since a build inside Docker
# may reach no crate registry either. It has a label, is made anew when the toolchain or Cargo.lock changed, and goes away
# with `docker rmi`. Needs debootstrap, and root or sudo.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=rust:1-slim-bookworm
suite=bookworm
label=saoma.stand-in

wanted=$({ cat tests/images/base-images.sh Cargo.lock; rustc -vV; } | sha256sum | cut -c 1-16)
if present=$(docker image inspect --format "{{ index .Config.Labels \"$label\" }}" "$image" 2>/dev/null); then
    case $present in
        "$wanted") echo "$image: the stand-in of before still fits" && exit ;;
        '' | '<no value>') echo "$image: present" && exit ;;
        *) echo "$image: a stand-in for another toolchain or Cargo.lock" ;;
    esac
elif docker pull --quiet "$image" >/dev/null 2>&1; then
    echo "$image: pulled"
    exit
else
    echo "$image: neither present nor to be pulled"
fi
command -v debootstrap >/dev/null || { echo 'debootstrap is missing: it is a package of Debian' >&2 && exit 1; }
echo "$image: making a stand-in of Debian, gcc and $(rustc --version)"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
work=$(mktemp -d)
trap '"${as_root[@]}" rm -rf "$work"' EXIT
root=$work/root

# Crates are fetched into a home of their own: what they need and nothing else, by this machine's settings.
home=${CARGO_HOME:-$HOME/.cargo}
mkdir "$work/cargo"
for settings in config.toml config; do
    [ ! -f "$home/$settings" ] || cp "$home/$settings" "$work/cargo/"
done
host=$(rustc -vV | sed -n 's/^host: //p')
CARGO_HOME=$work/cargo cargo fetch --quiet --locked --target "$host" &
fetching=$!

"${as_root[@]}" debootstrap --variant=minbase --include=gcc,libc6-dev,ca-certificates "$suite" "$root" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2 && exit 1; }
wait "$fetching"

# A compiler, its driver, and the libraries of this machine's own target; no documentation, no other tools.
sysroot=$(rustc --print sysroot)
"${as_root[@]}" mkdir -p "$root/usr/local/rust/bin" "$root/usr/local/rust/lib/rustlib" "$root/usr/local/cargo"
"${as_root[@]}" cp "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$root/usr/local/rust/bin/"
"${as_root[@]}" cp -a "$sysroot"/lib/*.so* "$root/usr/local/rust/lib/"
"${as_root[@]}" cp -a "$sysroot/lib/rustlib/$host" "$root/usr/local/rust/lib/rustlib/"
"${as_root[@]}" rm -rf "$work/cargo/registry/src" "$root/var/cache/apt/archives" "$root/var/lib/apt/lists"
"${as_root[@]}" cp -r "$work/cargo/." "$root/usr/local/cargo/"

"${as_root[@]}" tar -C "$root" --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -c . | docker import \
    --change 'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV CARGO_HOME=/usr/local/cargo' \
    --change 'ENV CARGO_NET_OFFLINE=true' \
    --change 'CMD ["bash"]' \
    --change "LABEL $label=$wanted" \
    - "$image" >/dev/null
echo "$image: made in $SECONDS s"
