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

sources() { mkdir "$work/previous" && git archive "$previous" | tar -x -C "$work/previous"; }
# The earlier commit is built on top of the build stage of these images, where most dependencies are already compiled. Only
# cargo's files are kept of that stage; cargo checks whether they fit. The image of the stage stays, because removing it
# would remove its layers from the cache of the next build.
build() {
    local target dockerfile=$work/previous/deploy/Dockerfile
    docker build -f deploy/Dockerfile --target build -t saoma/build:local . || return
    grep -q '^FROM rust:1-slim-bookworm AS build$' "$dockerfile" || return
    sed -i "/^FROM rust:1-slim-bookworm AS build$/{
        s#rust:1-slim-bookworm#saoma/build:local#
        a RUN rm -rf /image /volumes && find /saoma -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
    }" "$dockerfile"
    for target in ws-gateway callback-service simulator; do
        docker build -f "$dockerfile" --target "$target" -t "saoma/$target:$project" "$work/previous" || return
        at_end docker rmi "saoma/$target:$project"
    done
}
differ() { [ "$(docker inspect --format '{{ .Id }}' "$1")" != "$(docker inspect --format '{{ .Id }}' "$2")" ]; }
replaced() { COMPOSE_FILE=deploy/compose.yaml:deploy/compose.redis.yaml deploy/replace.sh; }
runs() { is "saoma/${1%-2}:$2" '{{ .Config.Image }}' "$(container "$1")"; }

ports SAOMA_PORT SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT
must "the sources of $previous" sources
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
