#!/usr/bin/env bash
# Replaces this host's containers, one after the other, by what the compose files, deploy/.env and the secrets say now: for an
# upgrade, a rollback, a changed setting or key. Each must be healthy before the next one's turn; the first that is not ends it.
#
#     COMPOSE_FILE=deploy/compose.yaml:deploy/compose.account.yaml deploy/replace.sh [SERVICE…]
#
# Without names: every ws-gateway and callback-service that runs. Compose's own way, `up -d` over what runs, fails with version
# 1 on newer engines, and would replace all at once.
set -euo pipefail

# Seconds until a started service must be healthy; a normal start is shorter.
patience=60

wrong() {
    echo "replace.sh: $1" >&2
    exit "${2:-64}"
}
case ${1-} in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit ;;
    -*) wrong "there is no option $1; see --help" ;;
esac
[ -n "${COMPOSE_FILE-}" ] || wrong 'COMPOSE_FILE is not set: export it as where the services were started; see --help'
if command -v docker-compose >/dev/null; then compose=(docker-compose); else compose=(docker compose); fi

containers=$("${compose[@]}" ps -q)
services=("$@")
if [ $# -eq 0 ] && [ -n "$containers" ]; then
    mapfile -t services < <(xargs docker inspect --format '{{ .Config.Image }} {{ index .Config.Labels "com.docker.compose.service" }}' \
        <<<"$containers" | sed -nE 's,^saoma/(ws-gateway|callback-service):[^ ]* ,,p' | sort -r)
fi
[ ${#services[@]} -gt 0 ] || wrong "no ws-gateway or callback-service runs by $COMPOSE_FILE: start them with up -d"

for service in "${services[@]}"; do
    "${compose[@]}" rm -sf "$service"
    "${compose[@]}" up -d --no-deps "$service"
    container=$("${compose[@]}" ps -q "$service")
    deadline=$((SECONDS + patience))
    until [ "$(docker inspect --format '{{ if .State.Health }}{{ .State.Health.Status }}{{ else }}healthy{{ end }}' "$container")" = healthy ]; do
        [ "$SECONDS" -lt "$deadline" ] ||
            { "${compose[@]}" logs --tail 20 "$service" >&2 && wrong "$service is not healthy after $patience s; the others are as they were" 1; }
        sleep 0.5
    done
    echo "$service is healthy"
done
