#!/usr/bin/env bash
# Tests deploy/compose.account.yaml over compose.yaml: an account of its own, with its secrets in files. Only WeChat itself
# is simulated; the simulator knows that account. run.sh builds first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

host=$work/host
ports SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT SAOMA_WECHAT_PORT
a_host "$host"
secrets "$host"
cat >"$host/wechat.yaml" <<'Y'
services:
  ws-gateway: {environment: {WECHAT_API_URL: "http://wechat:8090", WECHAT_QR_URL: "http://localhost:${SAOMA_PHONE_PORT}"}}
  callback-service: {environment: {WECHAT_API_URL: "http://wechat:8090"}}
  simulator:
    networks: {default: {aliases: [wechat]}}
    secrets: [wechat-app-secret, wechat-token, wechat-aes-key]
    environment:
      WECHAT_APP_ID: ${WECHAT_APP_ID}
      WECHAT_APP_SECRET_FILE: /run/secrets/wechat-app-secret
      WECHAT_TOKEN_FILE: /run/secrets/wechat-token
      WECHAT_AES_KEY_FILE: /run/secrets/wechat-aes-key
Y
compose() {
    (cd "$host" && "${docker_compose[@]}" -f deploy/compose.yaml -f deploy/compose.account.yaml -f wechat.yaml "$@")
}
as_it_is() { (cd "$host" && "${docker_compose[@]}" -f deploy/compose.yaml -f deploy/compose.account.yaml "$@"); }
is_absent() { [ -z "$(container "$1")" ]; }
at_end compose --profile simulator down -v

# A subnet that is probably unused, so that two of these tests do not conflict.
export SAOMA_SUBNET=10.213.$((RANDOM % 255)).0/24

check 'without an appid it says what is missing' says 'appid of your official account' as_it_is config -q
export WECHAT_APP_ID=wxfedcba9876543210
known='0123456789abcdef0123456789abcdef|only-for-the-demo|demotokenofthesimulator|SimulatorDemoKey'
check 'nothing of the demo stays' fails says "$known" as_it_is config
must 'its containers are made' as_it_is up --no-start
check 'no simulator among them' is_absent simulator

must 'everything starts' compose --profile simulator up -d
for service in ws-gateway callback-service; do
    check "$service: is healthy" healthy "$service"
    check "$service: no secret is among its settings" fails says "$(cat "$host"/deploy/secrets/* | paste -sd '|')" docker inspect "$(container "$service")"
done
check 'a person logs in' says 第1次登录 python3 tests/images/crowd.py "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --once oImagesTestPerson

report
