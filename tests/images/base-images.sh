#!/usr/bin/env bash
# Makes stand-ins for the images that deploy/ names and does not build, on a machine without an image registry. So the same
# Dockerfile and compose files can be tested there. An image that is present or can be pulled is left alone.
#
# Each stand-in is Debian. The one for building has gcc, make, this machine's own Rust toolchain, and the crates of Cargo.lock,
# because a build inside Docker may not reach a crate registry. The others have Debian's own redis, nginx and
# prometheus. A stand-in has
# a label, is made again when its ingredients change, and is removed with `docker rmi`. `base-images.sh rust` makes only the
# one for building, `base-images.sh redis nginx prometheus` the others. Needs debootstrap, and root or sudo.
set -euo pipefail
cd "$(dirname "$0")/../.."

rust=rust:1-slim-bookworm redis=redis:7-bookworm nginx=nginx:1-bookworm
prometheus=$(sed -n 's/^ *image: \(prom\/prometheus:.*\)$/\1/p' deploy/compose.watch.yaml)
suite=bookworm
label=saoma.stand-in
# Change this number when the way of making stand-ins changes: older ones are then made again.
recipe=4

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(rust redis nginx prometheus)
is_wanted() { [[ " ${names[*]} " == *" $1 "* ]]; }

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
work=$(mktemp -d)
trap '"${as_root[@]}" rm -rf "$work"' EXIT

# image, ingredients of its stand-in: succeeds if one has to be made.
missing() {
    local image=$1 wanted=$2 present
    if present=$(docker image inspect --format "{{ index .Config.Labels \"$label\" }}" "$image" 2>/dev/null); then
        case $present in
            "$wanted") echo "$image: the stand-in of before still fits" && return 1 ;;
            '' | '<no value>') echo "$image: present" && return 1 ;;
            *) echo "$image: the stand-in of before is out of date" ;;
        esac
    elif docker pull --quiet "$image" >/dev/null 2>&1; then
        echo "$image: pulled"
        return 1
    else
        echo "$image: neither present nor to be pulled"
    fi
}

# packages, folder: makes a small Debian.
debian() {
    command -v debootstrap >/dev/null || { echo 'debootstrap is missing: it is a package of Debian' >&2 && exit 1; }
    # Both stand-ins share the downloaded packages.
    mkdir -p "$work/packages"
    "${as_root[@]}" debootstrap --variant=minbase --cache-dir="$work/packages" --include="$1" "$suite" "$2" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2 && exit 1; }
    "${as_root[@]}" rm -rf "$2/var/cache/apt/archives" "$2/var/lib/apt/lists"
}

# folder, label, image, changes as in a Dockerfile: makes the image.
import() {
    local root=$1 wanted=$2 image=$3 changes=() change
    shift 3
    for change in "LABEL $label=$wanted" "$@"; do changes+=(--change "$change"); done
    "${as_root[@]}" tar -C "$root" --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -c . |
        docker import "${changes[@]}" - "$image" >/dev/null
    echo "$image: made ($SECONDS s since the beginning)"
}

wanted=$({ cat Cargo.lock; rustc -vV; } | sha256sum | cut -c 1-16)-$recipe
if is_wanted rust && missing "$rust" "$wanted"; then
    echo "$rust: making a stand-in of Debian, gcc, make and $(rustc --version)"
    # Crates are fetched into a home of their own with this machine's settings, so that it holds only what is needed.
    home=${CARGO_HOME:-$HOME/.cargo}
    mkdir "$work/cargo"
    for settings in config.toml config; do
        [ ! -f "$home/$settings" ] || cp "$home/$settings" "$work/cargo/"
    done
    host=$(rustc -vV | sed -n 's/^host: //p')
    CARGO_HOME=$work/cargo cargo fetch --quiet --locked --target "$host" &
    fetching=$!
    root=$work/rust
    debian gcc,make,libc6-dev,ca-certificates "$root"
    wait "$fetching"

    # A compiler, cargo, and the libraries for this machine's own target; no documentation and no other tools.
    sysroot=$(rustc --print sysroot)
    "${as_root[@]}" mkdir -p "$root/usr/local/rust/bin" "$root/usr/local/rust/lib/rustlib" "$root/usr/local/cargo"
    "${as_root[@]}" cp "$sysroot/bin/cargo" "$sysroot/bin/rustc" "$root/usr/local/rust/bin/"
    "${as_root[@]}" cp -a "$sysroot"/lib/*.so* "$root/usr/local/rust/lib/"
    "${as_root[@]}" cp -a "$sysroot/lib/rustlib/$host" "$root/usr/local/rust/lib/rustlib/"
    "${as_root[@]}" rm -rf "$work/cargo/registry/src"
    "${as_root[@]}" cp -r "$work/cargo/." "$root/usr/local/cargo/"
    import "$root" "$wanted" "$rust" 'CMD ["bash"]' \
        'ENV PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV CARGO_HOME=/usr/local/cargo' 'ENV CARGO_NET_OFFLINE=true'
fi

for image in "$redis" "$nginx" "$prometheus"; do
    short=${image##*/}
    is_wanted "${short%%:*}" && missing "$image" "$recipe" || continue
    echo "$image: making a stand-in of Debian's"
    root=$work/servers
    if [ ! -d "$root" ]; then
        debian redis-server,nginx-light,libnginx-mod-stream,prometheus "$root"
        # As in the real images: data in a volume of redis's own, and no site but the mounted one.
        "${as_root[@]}" install -d -o "$("${as_root[@]}" chroot "$root" id -u redis)" -g "$("${as_root[@]}" chroot "$root" id -g redis)" "$root/data"
        "${as_root[@]}" rm -f "$root/etc/nginx/sites-enabled/default"
        "${as_root[@]}" install -d -o 65534 -g 65534 "$root/prometheus"
    fi
    case $image in
        "$redis") import "$root" "$recipe" "$image" 'VOLUME /data' 'WORKDIR /data' 'EXPOSE 6379' 'CMD ["redis-server"]' ;;
        "$nginx") import "$root" "$recipe" "$image" 'EXPOSE 80' 'CMD ["nginx", "-g", "daemon off;"]' ;;
        "$prometheus") import "$root" "$recipe" "$image" 'USER 65534:65534' 'VOLUME /prometheus' 'WORKDIR /prometheus' 'EXPOSE 9090' \
            'ENTRYPOINT ["/usr/bin/prometheus"]' ;;
    esac
done
