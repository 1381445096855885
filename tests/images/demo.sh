#!/usr/bin/env bash
# The images, and deploy/compose.yaml as it is: what they are, what they may, and logins through them. run.sh builds first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

# Docker's megabytes, in bytes.
largest=25000000
services=(ws-gateway callback-service simulator)
base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' deploy/Dockerfile)
ports SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT
at_end compose down -v

small() {
    local size
    size=$(docker image inspect --format '{{ .Size }}' "$1")
    echo "$1: $size bytes"
    [ "$size" -lt "$largest" ]
}
# A user that is a number other than 0, and so needs no /etc/passwd.
plain_user() { docker image inspect --format '{{ .Config.User }}' "$1" | grep -xE '[1-9][0-9]*:[1-9][0-9]*'; }

# An image has no shell to try with. So root in a container beside it, which shares its processes, tries to write to
# what process 1 sees as its root.
write() { # service, path
    docker run --rm --network none --cap-add SYS_PTRACE --pid "container:$(container "$1")" "$base" touch "/proc/1/root$2"
}
cannot_write() { ! write "$1" /written 2>"$work/refused" && grep 'Read-only file system' "$work/refused"; }

# No more rights than it was started with, and those are none.
without_rights() {
    local status
    status=$(docker run --rm --network none --pid "container:$(container "$1")" "$base" cat /proc/1/status) || return
    echo "$status"
    grep -qP '^Uid:\t65532\t65532\t65532\t65532$' <<<"$status" && grep -qP '^CapBnd:\t0+$' <<<"$status" &&
        grep -qP '^NoNewPrivs:\t1$' <<<"$status"
}

# One login of the person, of whom it must be the so manieth.
log_in() { # openid, number
    says "第$2次登录" python3 tests/images/crowd.py "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --once "$1"
}
stopped_in_time() {
    local began=$SECONDS
    compose stop
    for service in "${services[@]}"; do
        is '0 false' '{{ .State.ExitCode }} {{ .State.OOMKilled }}' "$(container "$service")" || return
    done
    [ $((SECONDS - began)) -lt 15 ]
}
anew() {
    compose stop callback-service && compose rm -f callback-service && compose up -d
}

for service in "${services[@]}"; do
    image=saoma/$service:local
    check "$service: the image is smaller than 25 MB" small "$image"
    docker image ls --format '{{ .Repository }} {{ .Size }}' "$image"
    check "$service: its user is a number, and not root" plain_user "$image"
    check "$service: starts without a shell" is "[/usr/local/bin/$service] []" '{{ .Config.Entrypoint }} {{ .Config.Cmd }}' "$image"
done

# In an order that nothing would choose: those that need somebody come first. `down` first, as a user might.
must 'nothing of before is left' compose down -v
must 'callback-service starts without a gateway' compose up -d callback-service
must 'ws-gateway starts without WeChat' compose up -d ws-gateway
must 'the rest starts' compose up -d
for service in ws-gateway callback-service; do
    check "$service: is healthy" healthy "$service"
done
for service in "${services[@]}"; do
    check "$service: its root is read-only" is true '{{ .HostConfig.ReadonlyRootfs }}' "$(container "$service")"
    check "$service: root itself cannot write there" cannot_write "$service"
    check "$service: is a plain user without rights" without_rights "$service"
done
# The same attempt succeeds where writing is meant to: it would have, elsewhere.
check 'callback-service: its volume can be written' write callback-service /data/written

# shellcheck disable=SC2016 # Docker's own variables
loopback='{{ range $port, $at := .NetworkSettings.Ports }}{{ range $at }}{{ $port }} {{ .HostIp }} {{ end }}{{ end }}'
for published in 'ws-gateway 1099/tcp 127.0.0.1 ' 'callback-service ' 'simulator 8090/tcp 127.0.0.1 '; do
    check "published of ${published% }" is "${published#* }" "$loopback" "$(container "${published%% *}")"
done

check 'a browser logs in, in Chinese and in English' browser_logs_in "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT"
check 'a page logs in' log_in oImagesTestPerson 1
check 'callback-service is replaced' anew
check 'and is healthy again' healthy callback-service
check 'its counts are still there' log_in oImagesTestPerson 2
check 'all stop within their time, by themselves' stopped_in_time

report
