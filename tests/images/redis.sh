#!/usr/bin/env bash
# Tests deploy/compose.redis.yaml over compose.yaml: two of each service on Redis behind nginx. One service after another is
# stopped, killed and started while people log in. run.sh builds first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

files=(compose.yaml compose.redis.yaml)
services=(ws-gateway ws-gateway-2 callback-service callback-service-2)
ports SAOMA_PORT SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT
at_end compose down -v

must 'everything starts' compose up -d
for service in "${services[@]}"; do
    check "$service: is healthy" healthy "$service"
done
for service in redis nginx; do
    check "$service: its root is read-only" is true '{{ .HostConfig.ReadonlyRootfs }}' "$(container "$service")"
done
check 'a browser logs in' browser_logs_in "$SAOMA_PORT" "$SAOMA_PHONE_PORT"

must 'people log in' crowd_starts "$SAOMA_PORT" "$SAOMA_PHONE_PORT"
stopped() { compose stop "$1" && is 0 '{{ .State.ExitCode }}' "$(container "$1")"; }
check 'ws-gateway is stopped' stopped ws-gateway
check 'callback-service-2 is killed' compose kill callback-service-2
check 'a browser logs in without them' browser_logs_in "$SAOMA_PORT" "$SAOMA_PHONE_PORT"
check 'both are started' compose start ws-gateway callback-service-2
check 'ws-gateway is healthy' healthy ws-gateway
check 'callback-service-2 is healthy' healthy callback-service-2
check 'ws-gateway-2 is killed' compose kill ws-gateway-2
check 'callback-service is stopped' stopped callback-service
check 'a browser logs in without these' browser_logs_in "$SAOMA_PORT" "$SAOMA_PHONE_PORT"
check 'both are started' compose start ws-gateway-2 callback-service
check 'ws-gateway-2 is healthy' healthy ws-gateway-2
check 'callback-service is healthy' healthy callback-service
check 'Redis is restarted' compose restart redis
check 'nobody was lost' crowd_was_served
crowd_says

report
