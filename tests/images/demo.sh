#!/usr/bin/env bash
# Tests the images and deploy/compose.yaml without changes: their contents, their rights, and logins. run.sh builds first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

# The largest image, in bytes. Docker's megabyte has 1,000,000 of them.
largest=25000000
services=(ws-gateway callback-service simulator)
base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' deploy/Dockerfile)
ports SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT SAOMA_PROMETHEUS_PORT
at_end compose down -v

small() {
    local size
    size=$(docker image inspect --format '{{ .Size }}' "$1")
    echo "$1: $size bytes"
    [ "$size" -lt "$largest" ]
}
# Whether the user is a number other than 0. Such a user needs no /etc/passwd.
plain_user() { docker image inspect --format '{{ .Config.User }}' "$1" | grep -xE '[1-9][0-9]*:[1-9][0-9]*'; }

# The images have no shell. So root in another container, which shares the processes, tries to write to the root folder that
# process 1 sees.
write() { # service, path
    docker run --rm --network none --cap-add SYS_PTRACE --pid "container:$(container "$1")" "$base" touch "/proc/1/root$2"
}
cannot_write() { ! write "$1" /written 2>"$work/refused" && grep 'Read-only file system' "$work/refused"; }

# Whether the process has no rights and can gain none.
without_rights() {
    local status
    status=$(docker run --rm --network none --pid "container:$(container "$1")" "$base" cat /proc/1/status) || return
    echo "$status"
    grep -qP '^Uid:\t65532\t65532\t65532\t65532$' <<<"$status" && grep -qP '^CapBnd:\t0+$' <<<"$status" &&
        grep -qP '^NoNewPrivs:\t1$' <<<"$status"
}

# Logs a person in. The reply must give the login number (first is 1).
log_in() { # openid, number
    says "第$2次登录" python3 tests/images/crowd.py "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --once "$1"
}
# Docker ends what has not stopped within its stop_grace_period, and that exit code is 137. A slow engine needs longer for
# three containers, so it is not this shell's clock that judges.
stopped_in_time() {
    local service
    compose stop
    for service in "${services[@]}"; do
        is '15 0 false' '{{ .Config.StopTimeout }} {{ .State.ExitCode }} {{ .State.OOMKilled }}' "$(container "$service")" || return
    done
}
anew() {
    compose stop callback-service && compose rm -f callback-service && compose up -d
}

# What Prometheus's API answers at a path.
watched() { curl -fsS "http://127.0.0.1:$SAOMA_PROMETHEUS_PORT/api/v1/$1"; }
scraped() {
    watched targets | python3 -c '
import json, sys
targets = json.load(sys.stdin)["data"]["activeTargets"]
up = sorted(target["labels"]["job"] for target in targets if target["health"] == "up")
sys.exit(up != ["callback-service", "ws-gateway"])'
}
calm() {
    watched rules | python3 -c '
import json, sys
rules = [rule for group in json.load(sys.stdin)["data"]["groups"] for rule in group["rules"]]
firing = [rule["name"] for rule in rules if rule["state"] == "firing" or rule["health"] == "err"]
print(len(rules), firing)
sys.exit(len(rules) < 20 or firing != [])'
}

for service in "${services[@]}"; do
    image=saoma/$service:local
    check "$service: the image is smaller than 25 MB" small "$image"
    docker image ls --format '{{ .Repository }} {{ .Size }}' "$image"
    check "$service: its user is a number, and not root" plain_user "$image"
    check "$service: starts without a shell" is "[/usr/local/bin/$service] []" '{{ .Config.Entrypoint }} {{ .Config.Cmd }}' "$image"
done

# Starts the services in an unfavourable order: those that need others come first. `down` runs first, as a user might do.
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
# The same attempt must succeed on a writable volume. This shows that the failures above are due to the read-only root.
check 'callback-service: its volume can be written' write callback-service /data/written

# shellcheck disable=SC2016 # Docker's own variables
loopback='{{ range $port, $at := .NetworkSettings.Ports }}{{ range $at }}{{ $port }} {{ .HostIp }} {{ end }}{{ end }}'
for published in 'ws-gateway 1099/tcp 127.0.0.1 ' 'callback-service ' 'simulator 8090/tcp 127.0.0.1 '; do
    check "published of ${published% }" is "${published#* }" "$loopback" "$(container "${published%% *}")"
done

# README.md says to press Scan beside the newest code, which must be the page's.
check 'the phone shows no code before a page is opened' says '^\[\]$' curl -fsS "http://127.0.0.1:$SAOMA_PHONE_PORT/phone/codes"
check 'a browser logs in, in Chinese and in English' browser_logs_in "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT"
check 'a page logs in' log_in oImagesTestPerson 1

# The profile `watch`, but for Grafana, whose image is only to be had from a registry.
must 'Prometheus starts' compose --profile watch up -d prometheus
check 'it finds and scrapes both services' until_so scraped
check 'with every rule, and none fires' calm
check 'published of prometheus' is '9090/tcp 127.0.0.1 ' "$loopback" "$(container prometheus)"
check 'prometheus: its root is read-only' is true '{{ .HostConfig.ReadonlyRootfs }}' "$(container prometheus)"

check 'callback-service is replaced' anew
check 'and is healthy again' healthy callback-service
check 'its counts are still there' log_in oImagesTestPerson 2
check 'all stop within their time, by themselves' stopped_in_time

report
