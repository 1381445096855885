#!/usr/bin/env bash
# Tests every command of deploy/README.md as it is written there. Each fenced block of sh runs in a case below, or is in the
# list of blocks that cannot run, with the reason. The blocks are adapted to this machine from outside: ports, project names
# and HOME come from the environment. An overlay names the simulated WeChat; a docker-compose in PATH adds the overlay. The
# ssh, scp and redis-cli in PATH go to folders and a container here. run.sh builds the images first. Needs root, as the page
# says.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh
source tests/images/tree.sh

[ "$(id -u)" -eq 0 ] || { echo 'the page is for root: run this as root' >&2 && exit 64; }

declare -A cannot=(
    [one-host-with-systemd.2]='a booted systemd; tests/e2e/tests/units.rs judges the units'
    [a-proxy-in-front.1]='public DNS and its certificate; tests/e2e/tests/proxies/ logs in through each configuration'
)

# Extracts the blocks. Each file is named by its heading and the block's number below it.
mkdir "$work/blocks"
awk -v folder="$work/blocks" '
    /^```/ { if (inside) { inside = 0; if (file) close(file); file = "" } else { inside = 1; if ($0 == "```sh") file = folder "/" name "." ++count[name] }; next }
    inside { if (file) print > file; next }
    /^#+ / { name = tolower($0); sub(/^#+ /, "", name); gsub(/[^a-z0-9 -]/, "", name); gsub(/ /, "-", name) }' deploy/README.md
mkdir "$work/ran"

# A host is a folder that is also its home, with a file of the variables that its operator's shell has exported.
a_new_host() { # name, then settings
    local host=$work/hosts/$1
    mkdir -p "$host"
    printf 'export %s\n' "HOME=$host" "OVERLAY=$work/$1.yaml" "COMPOSE_PROJECT_NAME=$project-${1%%.*}" "${@:2}" >"$host.shell"
}
# host, block: runs the block on the host, with the variables that the blocks before exported.
run() {
    local host=$1 block=$2
    [ -f "$work/blocks/$block" ] || { echo "the page has no block $block" && return 1; }
    touch "$work/ran/$block"
    on "$host" "$work/blocks/$block"
}
on() { # host, file of commands
    (
        cd "${FROM:-$work/hosts/$1}"
        # shellcheck disable=SC2016 # for the other shell
        PATH=$work/bin:$PATH bash -euo pipefail -c '. "$1.shell"; . "$2"; export -p >"$1.shell.new"; mv "$1.shell.new" "$1.shell"' \
            bash "$work/hosts/$1" "$2"
    )
}
says_on() { # expression, host, commands
    printf '%s\n' "$3" >"$work/commands"
    says "$1" on "$2" "$work/commands"
}

mkdir "$work/bin" "$work/hosts"
compose_is="${docker_compose[*]}"
cat >"$work/bin/docker-compose" <<END
#!/usr/bin/env bash
if [ "\${1-}" = -f ]; then set -- -f "\$2" -f "\$OVERLAY" "\${@:3}"; else export COMPOSE_FILE=\$COMPOSE_FILE:\$OVERLAY; fi
PATH=\${PATH#*:} exec $compose_is "\$@"
END
cat >"$work/bin/ssh" <<END
#!/usr/bin/env bash
unset COMPOSE_FILE
. "$work/hosts/\${1#root@}.shell"
unset COMPOSE_FILE
cd ~ && exec bash -euo pipefail -c "\$2"
END
cat >"$work/bin/scp" <<END
#!/usr/bin/env bash
while [[ \$1 = -* ]]; do shift; done
to=\${*: -1} && to=\${to#root@}
exec cp -rp "\${@:1:\$#-1}" "$work/hosts/\${to%%:*}/\${to#*:}"
END
printf '#!/usr/bin/env bash\nexec docker exec -i %s redis-cli "$@"\n' "$project-redis" >"$work/bin/redis-cli"
chmod +x "$work/bin"/*

ports SAOMA_GATEWAY_PORT SAOMA_PHONE_PORT SAOMA_WECHAT_PORT NOTIFY_PORT
export SAOMA_NOTIFY_ADDRESS=127.0.0.1:$NOTIFY_PORT SAOMA_SUBNET=10.215.$((RANDOM % 255)).0/24
export WECHAT_APP_ID=wxfedcba9876543210
meet=$project-meet wechat=$project-wechat
# The network in which the hosts, WeChat and Redis meet. The gateway keeps no codes ready, because WeChat is restarted and
# would not know them.
overlay() { # file, service, name among the others
    cat <<END
services:
  $1:
    environment: {WECHAT_API_URL: "http://wechat:8090", WECHAT_QR_URL: "http://localhost:$SAOMA_PHONE_PORT", GATEWAY_QR_READY: "0"}
    networks: {default: {}, meet: {aliases: [$2]}}
END
}
networks() { printf 'networks:\n  meet: {external: true, name: %s}\n' "$meet"; }
{ overlay ws-gateway gateway && overlay callback-service callback | tail -n +2 && networks; } >"$work/one.yaml"
{ overlay ws-gateway gateway.internal && networks; } >"$work/gateway.internal.yaml"
{ overlay callback-service callback.internal && networks; } >"$work/callback.internal.yaml"
for host in one mine gateway.internal callback.internal; do a_new_host "$host"; done
# All hosts are this machine, where networks must not overlap.
echo "export SAOMA_SUBNET=10.216.$((RANDOM % 255)).0/24" >>"$work/hosts/callback.internal.shell"

down() { for host in one gateway.internal callback.internal; do on "$host" "$work/down" || true; done; }
# shellcheck disable=SC2016
echo 'if [ -n "${COMPOSE_FILE-}" ]; then cd ~/saoma && docker-compose down -v; fi' >"$work/down"
at_end docker network rm "$meet"
at_end docker rm -fv "$wechat" "$project-redis"
at_end down
docker network create "$meet" >/dev/null

wechat_starts() { # of whose secrets
    docker rm -fv "$wechat" >/dev/null 2>&1 || true
    docker run -d --name "$wechat" --network "$meet" --network-alias wechat -p "127.0.0.1:$SAOMA_PHONE_PORT:8090" --user 0:0 \
        -v "$work/hosts/$1/saoma/deploy/secrets:/secrets:ro" -e SIMULATOR_PUSH_URL=http://callback-service:8080/wechat \
        -e "SIMULATOR_PUBLIC_URL=http://localhost:$SAOMA_PHONE_PORT" -e "WECHAT_APP_ID=$WECHAT_APP_ID" \
        -e WECHAT_APP_SECRET_FILE=/secrets/wechat-app-secret -e WECHAT_TOKEN_FILE=/secrets/wechat-token \
        -e WECHAT_AES_KEY_FILE=/secrets/wechat-aes-key saoma/simulator:local &&
        until_so curl -fsS -o /dev/null "http://127.0.0.1:$SAOMA_PHONE_PORT/control"
}
submit() { curl -fsS -X POST "http://127.0.0.1:$SAOMA_PHONE_PORT/phone/verify"; }
log_in() { # the person's login number (first is 1)
    says "第$1次登录" python3 tests/images/crowd.py "$SAOMA_GATEWAY_PORT" "$SAOMA_PHONE_PORT" --once oImagesTestPerson
}
up() { # host, service
    until_so says_on ' Up .*healthy|Up \(healthy\)|\(healthy\)' "$1" "cd ~/saoma && docker-compose ps $2"
}
runs() { # service, version
    says_on "^saoma/$1:$2\$" one "cd ~/saoma && docker inspect --format '{{ .Config.Image }}' \$(docker-compose ps -q $1)"
}
with() { "${@:2}" <<<"$1"; }
secret() { openssl rand -hex 16; }

must 'a commit of this checkout' copy_tree
first=$(tree_version)
images_as_before "$first"
must 'its release' "$tree/deploy/release.sh" "$work/release"
must 'a commit after it' commit_tree
second=$(tree_version)
images_as_before "$second"
must 'and its release' "$tree/deploy/release.sh" "$work/next"

for host in one mine gateway.internal callback.internal; do
    FROM=$work/release must "$host: the files" run "$host" the-files.1
done

# One host.
must 'one host: the secrets' with "$(secret)" run one one-host-with-compose.1
check 'each has its own' [ "$(sort -u "$work/hosts/one/saoma/deploy/secrets"/* | wc -l)" -eq 4 ]
check 'the folder is closed' [ "$(stat -c %a "$work/hosts/one/saoma/deploy/secrets")" = 700 ]
must 'WeChat' wechat_starts one
must 'one host: everything starts' run one one-host-with-compose.2
for service in ws-gateway callback-service; do check "$service: is healthy" up one "$service"; done
check 'the version is that of the release' runs ws-gateway "$first"
check 'the console verifies the address' submit
check 'and the log says so' says_on 'WeChat has verified the address' one 'cd ~/saoma && docker-compose logs callback-service'
check 'a person logs in' log_in 1
check 'it works, says the page' run one does-it-work.1
check 'a forged push is 403, the page 200' says 'the page: 200' run one does-it-work.1
check 'a forged push is 403' says 'a forged push: 403' run one does-it-work.1
check 'the metrics' says '^gateway_logins_total [1-9]' run one does-it-work.2
check 'the log lines that the page names' says_on 'a scan was answered.*outcome="logged_in"' one 'cd ~/saoma && docker-compose logs --no-color callback-service'
check 'of both services' says_on 'a client has connected.*client="callback"' one 'cd ~/saoma && docker-compose logs --no-color ws-gateway'

# Sites.
echo 'export NAME=login.example.com ISSUER=id.example.com SITE=示例商店' >>"$work/hosts/one.shell"
discovers() { curl -fsS "http://127.0.0.1:$SAOMA_WECHAT_PORT/.well-known/openid-configuration"; }
check 'without sites there is no provider' fails discovers
must 'a site is entered' run one let-sites-log-in.1
# The pages of this test have neither name.
sed -i '/^GATEWAY_ALLOWED_ORIGINS=/d' "$work/hosts/one/saoma/deploy/.env"
check 'its file has no secret' fails grep -q 'client secret' "$work/hosts/one/saoma/deploy/sites/sites.toml"
check 'the check finds it good' says 'the settings are good; the issuer is https://id.example.com; sites: ' run one let-sites-log-in.2
check 'the issuer answers' says '"issuer":"https://id.example.com"' discovers
reads_sites_again() { says_on 'the sites were read again' one 'cd ~/saoma && docker-compose logs callback-service'; }
check 'SIGHUP' says_on sent one 'cd ~/saoma && docker-compose kill -s HUP callback-service && echo sent'
check 'the sites are read again' until_so reads_sites_again

must 'a backup' run one backup-and-restore.1
check 'the keys that sign tokens are in it' [ -s "$work/hosts/one/saoma-backup/callback.keys.json" ]
check 'and the sites' [ -s "$work/hosts/one/saoma-backup/sites/sites.toml" ]
check 'it is whole' [ "$(sqlite3 "$work/hosts/one/saoma-backup/callback.db" 'PRAGMA integrity_check')" = ok ]
check 'a person logs in once more' log_in 2
must 'the backup is restored' run one backup-and-restore.2
check 'callback-service: is healthy' up one callback-service
check 'its counts are those of the backup' log_in 2

FROM=$work/next check 'an upgrade' run one upgrade-and-rollback.1
check 'it is the next version that runs' runs callback-service "$second"
check 'a person logs in' log_in 3
check 'and back' run one upgrade-and-rollback.2
check 'it is the first version that runs' runs callback-service "$first"
check 'a person logs in' log_in 4

kept() { md5sum "$work/hosts/one/saoma/deploy/secrets/$1"; }
before=$(kept notify-key)
check 'another NOTIFY_KEY' run one changing-keys.1
check 'it is another' [ "$(kept notify-key)" != "$before" ]
check 'a person logs in' log_in 5
before=$(kept wechat-app-secret)
check 'another AppSecret' with "$(secret)" run one changing-keys.2
check 'it is another' [ "$(kept wechat-app-secret)" != "$before" ]
must 'WeChat has it' wechat_starts one
check 'a person logs in' log_in 6
check 'another token and key' run one changing-keys.3
check 'callback-service: is healthy' up one callback-service
check 'WeChat still has those of before: a person logs in' log_in 7
must 'WeChat has the new ones' wechat_starts one
check 'and verifies the address' submit
check 'a person logs in' log_in 8
check 'those of before are taken away' run one changing-keys.4
check 'callback-service: is healthy' up one callback-service
check 'a person logs in' log_in 9
on one "$work/down" >/dev/null 2>&1

# Systemd units: their files are installed in a Debian container. Systemd itself does not run there.
base=$(sed -n 's/^FROM \(.*\) AS build$/\1/p' deploy/Dockerfile)
touch "$work/ran/one-host-with-systemd.1"
units() {
    # shellcheck disable=SC2016
    secret | docker run --rm -i --network none -e "WECHAT_APP_ID=$WECHAT_APP_ID" -v "$work/hosts/one/saoma:/root/saoma:ro" \
        -v "$work/blocks:/blocks:ro" "$base" bash -euo pipefail -c '
        . /blocks/one-host-with-systemd.1
        [ "$(stat -c %a /etc/saoma)" = 700 ] && [ "$(stat -c %a /etc/saoma/* | sort -u)" = 600 ]
        grep -h "^[A-Z]" /etc/saoma/*.env
        # What the unit gives it: settings and secrets, from the very files.
        for unit in /etc/systemd/system/*.service; do
            sed -nE "s/^LoadCredential=[^:]*:(.*)/\1/p" "$unit" | xargs -n 1 test -s
            "$(sed -n "s/^ExecStart=//p" "$unit")" --version
        done
        set -a && . /etc/saoma/ws-gateway.env && export NOTIFY_KEY_FILE=/etc/saoma/notify-key WECHAT_APP_SECRET_FILE=/etc/saoma/wechat-app-secret
        ws-gateway & gateway=$!
        for i in $(seq 50); do ws-gateway health && break || sleep 0.2; done
        ws-gateway health && echo "it is ready" && kill "$gateway" && wait "$gateway"'
}
check 'units: everything is in its place' says 'it is ready' units
cp "$work/told" "$work/units"
check 'units: behind a proxy' grep -x 'GATEWAY_TRUSTED_PROXIES=127.0.0.1' "$work/units"

# Two hosts.
must 'the secrets, on a third machine' with "$(secret)" run mine one-host-with-compose.1
must 'certificates, and copies' run mine two-hosts.1
must 'WeChat' wechat_starts mine
must 'the gateway starts' run gateway.internal two-hosts.2
must 'callback-service starts' run callback.internal two-hosts.3
check 'ws-gateway: is healthy' up gateway.internal ws-gateway
check 'callback-service: is healthy' up callback.internal callback-service
check 'a person logs in' log_in 1
subject() { openssl x509 -in "$work/hosts/$1" -noout -fingerprint -sha256; }
reads_again() { says_on 'the certificate of the internal port was read again' gateway.internal 'cd ~/saoma && docker-compose logs ws-gateway'; }
before=$(subject gateway.internal/saoma/deploy/certificates/gateway/gateway.pem)
check 'renewed certificates' run mine changing-keys.5
check 'they are others' [ "$(subject gateway.internal/saoma/deploy/certificates/gateway/gateway.pem)" != "$before" ]
check 'the gateway has read them' until_so reads_again
check 'a person logs in' log_in 2
before=$(subject callback.internal/saoma/deploy/certificates/callback/ca.pem)
check 'another CA' run mine changing-keys.6
check 'it is another' [ "$(subject callback.internal/saoma/deploy/certificates/callback/ca.pem)" != "$before" ]
check 'one is believed, not two' [ "$(grep -c BEGIN "$work/hosts/gateway.internal/saoma/deploy/certificates/gateway/ca.pem")" -eq 1 ]
check 'callback-service: is healthy' up callback.internal callback-service
check 'a person logs in' log_in 3

# On Redis.
redis_starts() {
    docker run -d --name "$project-redis" --network "$meet" --network-alias cache.internal redis:7-bookworm bash -c \
        'printf "%s\n" "appendonly yes" "maxmemory-policy noeviction" "bind 0.0.0.0" "protected-mode no" >/data/redis.conf
        chmod 666 /data/redis.conf && exec redis-server /data/redis.conf' &&
        until_so says PONG docker exec "$project-redis" redis-cli ping
}
password() { cat "$work/hosts/mine/redis-password"; }
must 'Redis' redis_starts
must "Redis's user" run mine several-hosts-on-redis.1
# This compares with the documented rights, because one gateway in this test would not use all of them.
rights_here() { grep -o "+[a-z|]*" "$work/blocks/several-hosts-on-redis.1" | tr -d + | sort; }
rights_there() { tr '\n' ' ' <docs/stores.md | sed -n "s/.*Redis's user needs \`\([^\`]*\)\`.*/\1/p" | tr ' ' '\n' | sort; }
check 'its rights are those of docs/stores.md' diff <(rights_here) <(rights_there)
check 'it outlives a restart' says 'user saoma on' docker exec "$project-redis" cat /data/redis.conf
echo 'export REDIS=cache.internal:6379' | tee -a "$work/hosts/gateway.internal.shell" >>"$work/hosts/callback.internal.shell"
for host in gateway.internal callback.internal; do
    check "$host: to Redis" with "$(password)" run "$host" several-hosts-on-redis.2
done
check 'ws-gateway: is healthy' up gateway.internal ws-gateway
check 'callback-service: is healthy' up callback.internal callback-service
check 'a person logs in' log_in 1
for host in gateway.internal callback.internal; do
    check "$host: with what Redis lets it" fails says_on 'allow it in the ACL|NOPERM' "$host" 'cd ~/saoma && docker-compose logs'
done
check 'logins are in Redis' says 'saoma:gateway:' docker exec "$project-redis" redis-cli --scan
check 'and counts' says 'saoma:callback:' docker exec "$project-redis" redis-cli --scan
check 'a second password' run mine changing-keys.7
for host in gateway.internal callback.internal; do
    sed -i "s/^\(.*_REDIS_PASSWORD\)=.*/\1=$(password)/" "$work/hosts/$host/saoma/deploy/.env"
    check "$host: takes it" says_on 'is healthy' "$host" 'cd ~/saoma && deploy/replace.sh'
done
passwords() { docker exec "$project-redis" grep '^user saoma' /data/redis.conf | grep -o ' #' | wc -l; }
check 'that is two' [ "$(passwords)" -eq 2 ]
check 'the first one goes' run mine changing-keys.8
check 'that is one' [ "$(passwords)" -eq 1 ]
check 'ws-gateway: is healthy' up gateway.internal ws-gateway
check 'callback-service: is healthy' up callback.internal callback-service
check 'a person logs in' log_in 2
# The keys that sign tokens, made on one host and given to another.
echo 'export CALLBACKS=gateway.internal' >>"$work/hosts/callback.internal.shell"
must 'signing keys' run callback.internal changing-keys.9
check 'they are the same on both' cmp "$work/hosts/callback.internal/saoma/deploy/sites/keys.json" "$work/hosts/gateway.internal/saoma/deploy/sites/keys.json"
check 'only root and the container read them' [ "$(stat -c %a:%g "$work/hosts/gateway.internal/saoma/deploy/sites/keys.json")" = 640:65532 ]
check 'they are not renewed a moment later' fails run callback.internal changing-keys.9

every_block() {
    local block status=0
    for block in "$work/blocks"/*; do
        block=$(basename "$block")
        [ -e "$work/ran/$block" ] || [ -n "${cannot[$block]-}" ] || { echo "not run, and no reason: $block" && status=1; }
    done
    for block in "${!cannot[@]}"; do
        [ -f "$work/blocks/$block" ] || { echo "a reason for a block that is not there: $block" && status=1; }
        echo "not run: $block: ${cannot[$block]}"
    done
    return "$status"
}
check 'every block was run, or there is a reason' every_block

report
