# shellcheck shell=bash
# The shared functions of the parts of the images' test. A part sources this from the project's folder, calls `check` for
# each promise and ends with `report`. Everything it starts has its own project name, and is removed at its end, however it
# ends.

work=$(mktemp -d)
passed=0 failed=0

# words, command: runs the command and counts whether it succeeded.
check() {
    local words=$1 began=$SECONDS
    shift
    if "$@" >"$work/said" 2>&1; then
        passed=$((passed + 1))
        echo "ok: $words ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "FAILED: $words ($((SECONDS - began)) s)"
        tail -n 40 "$work/said"
    fi
}
report() {
    echo "$(basename "$0" .sh): $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
# A check without which the rest is pointless: a failure ends the part.
must() {
    local before=$failed
    check "$@"
    [ "$failed" -eq "$before" ] || { report || exit 1; }
}
fails() { ! "$@"; }
# Whether the output contains a regular expression.
says() { # expression, command
    local expression=$1
    shift
    "$@" 2>&1 | tee "$work/told"
    grep -qE "$expression" "$work/told"
}

if command -v docker-compose >/dev/null; then docker_compose=(docker-compose); else docker_compose=(docker compose); fi
project=saoma-$(basename "$0" .sh)-$$
export COMPOSE_PROJECT_NAME=$project

# The compose files of this part: `files=(a.yaml b.yaml)` in deploy/.
files=(compose.yaml)
compose() { "${docker_compose[@]}" "${files[@]/#/-fdeploy/}" "$@"; }

# Commands that run at the end, in reverse order.
endings=()
at_end() { endings+=("$*"); }
end() {
    local i
    for ((i = ${#endings[@]} - 1; i >= 0; i--)); do eval "${endings[i]}" >/dev/null 2>&1 || true; done
    rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM

# Chooses a free port for each name. Docker cannot choose published ports, because browsers are told of them. They are
# below those that Linux gives to connections, or a connection that begins meanwhile could take one.
ports() {
    local names=("$@") found
    found=$(python3 -c '
import random, socket, sys
places = []
while len(places) < len(sys.argv) - 1:
    try:
        places.append(socket.create_server(("127.0.0.1", random.randrange(10_000, 32_768))))
    except OSError:
        pass  # somebody else has it
print(*(place.getsockname()[1] for place in places))' "${names[@]}")
    # shellcheck disable=SC2229 # the names are the variables
    read -r "${names[@]}" <<<"$found"
    # shellcheck disable=SC2163
    export "${names[@]}"
}

container() { compose ps -a -q "$1"; }
# Whether a template of `docker inspect` gives this text.
is() { # text, template, what
    local found
    found=$(docker inspect --format "$2" "$3") || return
    [ "$found" = "$1" ] || { echo "\"$found\" instead of \"$1\"" && return 1; }
}
# Repeats a command until it succeeds, for two minutes at most.
until_so() {
    local deadline=$((SECONDS + 120))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.3
    done
}
healthy() { until_so is healthy '{{ .State.Health.Status }}' "$(container "$1")" || { compose logs --tail 20 "$1" && return 1; }; }

# Logins in a real browser, in Chinese and in English.
browser_logs_in() { # gateway's port, phone's port
    "${CARGO_TARGET_DIR:-target}/debug/examples/browser_login" "http://localhost:$1/" "http://localhost:$2/"
}

# Starts a crowd: people who log in all the time, until they are stopped and judged.
crowd_starts() { # options of crowd.py
    python3 tests/images/crowd.py "$@" >"$work/crowd" 2>&1 &
    crowd=$!
    at_end kill "$crowd"
    until_so grep -qx running "$work/crowd" || { cat "$work/crowd" && return 1; }
}
crowd_was_served() {
    local status=0
    kill -TERM "$crowd"
    wait "$crowd" || status=$?
    cat "$work/crowd"
    return "$status"
}
crowd_says() { grep '^{' "$work/crowd" || true; }

# folder: a copy of deploy/ alone, as an operator has it on a host.
a_host() {
    mkdir -p "$1"
    cp -r deploy "$1/deploy"
}
# folder of a host: makes secrets for an account of its own.
secrets() {
    local secrets=$1/deploy/secrets
    install -d -m 700 "$secrets"
    openssl rand -hex 32 >"$secrets/notify-key"
    openssl rand -hex 16 | tee "$secrets/wechat-app-secret" >"$secrets/wechat-token"
    openssl rand -base64 96 | tr -dc A-Za-z0-9 | cut -c 1-43 >"$secrets/wechat-aes-key"
    chmod 444 "$secrets"/*
}
