#!/usr/bin/env bash
# Tests an upgrade from the commit in tests/previous to these images, and back. One container after another is replaced as
# deploy/README.md says, on Redis, while people log in. run.sh builds these images.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

files=(compose.yaml compose.redis.yaml)
services=(ws-gateway ws-gateway-2 callback-service callback-service-2)
previous=$(cat tests/previous)
if ! git cat-file -e "$previous^{commit}" 2>/dev/null; then
    if [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" != false ]; then
        echo 'NOT TRIED: without the history there is nothing to upgrade from'
        report
        exit
    fi
    echo "FAILED: tests/previous names $previous, which this checkout does not have"
    failed=1
    report
fi

# The images of the earlier commit are what its own Dockerfile makes of its programs. The programs are those that the part
# "building" of tests/run.sh builds, with the profile of tests, because a second build in Docker would only take time. They
# bring the libraries of this machine.
programs() {
    local folder root=$work/previous
    cargo build --quiet --locked --workspace --example previous || return
    folder=$("${CARGO_TARGET_DIR:-target}/debug/examples/previous") || return
    mkdir -p "$root/image" "$root/saoma/target/release" "$root/volumes" || return
    mkdir -m 700 "$root/volumes/data"
    cp "$folder"/{ws-gateway,callback-service} "$root/saoma/target/release/" || return
    ldd "$folder"/{ws-gateway,callback-service} | grep -o '/[^ ]*[^ :]' | grep -v "^$folder/" | sort -u |
        xargs cp --parents --dereference -t "$root/image" || return
}
build() {
    local target dockerfile=$work/previous/Dockerfile
    git show "$previous:deploy/Dockerfile" | sed -n '/^FROM scratch AS ws-gateway$/,$p' >"$work/stages" || return
    grep -q '^FROM scratch AS callback-service$' "$work/stages" || return
    printf 'FROM scratch AS build\nCOPY --from=saoma/ws-gateway:local /etc /image/etc\nCOPY . /\n' | cat - "$work/stages" >"$dockerfile"
    for target in ws-gateway callback-service; do
        docker build -f "$dockerfile" --target "$target" -t "saoma/$target:$project" "$work/previous" || return
        at_end docker rmi "saoma/$target:$project"
    done
    # The simulator stands for WeChat, which nobody upgrades.
    docker tag saoma/simulator:local "saoma/simulator:$project"
    at_end docker rmi "saoma/simulator:$project"
}
differ() { [ "$(docker inspect --format '{{ .Id }}' "$1")" != "$(docker inspect --format '{{ .Id }}' "$2")" ]; }
replaced() { COMPOSE_FILE=deploy/compose.yaml:deploy/compose.redis.yaml deploy/replace.sh; }
runs() { is "saoma/${1%-2}:$2" '{{ .Config.Image }}' "$(container "$1")"; }

ports SAOMA_PORT SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT
must "the programs of $previous" programs
must 'their images' build
check 'they are others than these' differ "saoma/ws-gateway:$project" saoma/ws-gateway:local
at_end compose down -v

export SAOMA_VERSION=$project
must 'everything of before starts' compose up -d
for service in "${services[@]}"; do
    check "$service: is healthy" healthy "$service"
done
must 'people log in' crowd_starts "$SAOMA_PORT" "$SAOMA_PHONE_PORT" --rate 10 --no-refused
for version in local "$project"; do
    export SAOMA_VERSION=$version
    check "one after another is replaced by ${version/$project/that of before}" replaced
    for service in "${services[@]}"; do
        check "$service is of the other version" runs "$service" "$version"
    done
done
check 'no login failed' crowd_was_served
crowd_says

report
