#!/usr/bin/env bash
# Tests deploy/compose.gateway.yaml and compose.callback.yaml on two hosts. Here these are two networks; a wire between them
# carries only the internal port. Both reach the simulated WeChat. run.sh builds first.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

ports SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT SAOMA_WECHAT_PORT NOTIFY_PORT
export WECHAT_APP_ID=wxfedcba9876543210 CALLBACK_GATEWAY=gateway.internal:9999
export SAOMA_NOTIFY_ADDRESS=127.0.0.1:$NOTIFY_PORT SAOMA_SUBNET=10.213.$((RANDOM % 255)).0/24
# Both hosts are this machine, whose networks must not overlap.
callback_subnet=10.214.$((RANDOM % 255)).0/24
gateway_host=$work/gateway callback_host=$work/callback
wire=$project-wire wechat=$project-wechat

for host in "$gateway_host" "$callback_host"; do
    a_host "$host"
    service=$(basename "$host")
    cat >"$host/wechat.yaml" <<Y
services:
  $([ "$service" = gateway ] && echo ws-gateway || echo callback-service):
    environment:
      WECHAT_API_URL: http://wechat:8090
      WECHAT_QR_URL: http://localhost:$SAOMA_PHONE_PORT
      # Of which certificate a test is without.
      CALLBACK_GATEWAY_CERT: \${CERT-/certificates/callback.pem}
      CALLBACK_GATEWAY_KEY: \${KEY-/certificates/callback.key}
Y
done
secrets "$gateway_host"
cp -rp "$gateway_host/deploy/secrets" "$callback_host/deploy/"
chmod 700 "$callback_host/deploy/secrets"
on_gateway() { (cd "$gateway_host" && "${docker_compose[@]}" -p "$project-g" -f deploy/compose.gateway.yaml -f wechat.yaml "$@"); }
on_callback() { (cd "$callback_host" && SAOMA_SUBNET=$callback_subnet "${docker_compose[@]}" -p "$project-c" -f deploy/compose.callback.yaml -f wechat.yaml "$@"); }
container() { if [ "$1" = ws-gateway ]; then on_gateway ps -q "$1"; else on_callback ps -q "$1"; fi; }
compose() { on_callback "$@"; }

certificates() {
    deploy/certificates.sh "$work/certificates" gateway.internal localhost &&
        mkdir "$gateway_host/deploy/certificates" "$callback_host/deploy/certificates" &&
        cp -rp "$work/certificates/gateway" "$gateway_host/deploy/certificates/" &&
        cp -rp "$work/certificates/callback" "$callback_host/deploy/certificates/"
}
# The simulated WeChat is a third host, connected to both networks.
wechat_starts() {
    docker run -d --name "$wechat" -p "127.0.0.1:$SAOMA_PHONE_PORT:8090" -v "$gateway_host/deploy/secrets:/secrets:ro" \
        --user 0:0 -e SIMULATOR_PUSH_URL=http://callback-service:8080/wechat -e "SIMULATOR_PUBLIC_URL=http://localhost:$SAOMA_PHONE_PORT" \
        -e "WECHAT_APP_ID=$WECHAT_APP_ID" -e WECHAT_APP_SECRET_FILE=/secrets/wechat-app-secret \
        -e WECHAT_TOKEN_FILE=/secrets/wechat-token -e WECHAT_AES_KEY_FILE=/secrets/wechat-aes-key saoma/simulator:local &&
        docker network connect --alias wechat "$project-g_default" "$wechat" &&
        docker network connect --alias wechat "$project-c_default" "$wechat"
}
# The wire is a TCP proxy that only passes bytes on.
wire_starts() {
    cat >"$work/wire.conf" <<'N'
include /etc/nginx/modules-enabled/*stream*.conf;
error_log /dev/stderr warn;
events {}
stream {
    server {
        listen 9999;
        proxy_pass ws-gateway:9999;
    }
}
N
    docker create --name "$wire" --network "$project-g_default" -v "$work/wire.conf:/etc/nginx/nginx.conf:ro" nginx:1-bookworm &&
        wire_is_healed && docker start "$wire"
}
wire_is_cut() { docker network disconnect "$project-c_default" "$wire"; }
wire_is_healed() { docker network connect --alias gateway.internal "$project-c_default" "$wire"; }

at_end on_gateway down -v
at_end on_callback down -v
at_end docker rm -fv "$wire" "$wechat"

log_in=(python3 tests/images/crowd.py "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --once oImagesTestPerson)
# Sends a notice from this machine with a sample client. Its login is unknown; the test needs only an answer.
notify() { # CA, certificate, key: or none
    NOTIFY_KEY=$(cat "$gateway_host/deploy/secrets/notify-key") python3 protocol/clients/notify.py "localhost:$NOTIFY_PORT" callback \
        '{"type":"query","scene":"AAAAAAAAAAAAAAAAAAAAAA"}' "$@"
}
ours=$work/certificates/callback
without_certificate() { CERT='' KEY='' on_callback up -d; }
with_certificate() { on_callback rm -sf && on_callback up -d; }

must 'certificates are made' certificates
must 'the gateway starts' on_gateway up -d
must 'callback-service starts, without a certificate' without_certificate
must 'WeChat starts' wechat_starts
must 'the wire is laid' wire_starts
check 'ws-gateway: is healthy' healthy ws-gateway
check 'a notice with a certificate is answered' says '"unknown"' notify "$ours/ca.pem" "$ours/callback.pem" "$ours/callback.key"
check 'without a certificate it is not' fails says '"unknown"' notify "$ours/ca.pem"
check 'nor in plain text' fails says '"unknown"' notify
check 'without a certificate callback-service gets nothing' until_so says CertificateRequired on_callback logs --tail 50
check 'and nobody logs in' fails timeout 15 "${log_in[@]}"
check 'with its certificate it is started anew' with_certificate
check 'callback-service: is healthy' healthy callback-service
check 'a person logs in' "${log_in[@]}"

must 'people log in' crowd_starts "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --rate 1.5
check 'the wire is cut' wire_is_cut
# The duration of the fault.
sleep 15
check 'and healed' wire_is_healed
check 'callback-service: is healthy again' healthy callback-service
check 'no recorded scan was lost' crowd_was_served
crowd_says

report
