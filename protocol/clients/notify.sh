#!/usr/bin/env bash
# Sends one notice to Saoma's gateway and brings its answer back: see ../PROTOCOL.md. bash 4.3 or later, openssl and
# coreutils, nothing else.
#
# In a script, source this file and call notify, which prints the answer. The key is in the environment and on no
# command line, where others on the machine could read it:
#
#     export NOTIFY_KEY; notify 127.0.0.1:9999 shop '{"type":"scan","id":"1","scene":"..."}'
#
# On a command line:
#
#     NOTIFY_KEY=... bash notify.sh HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]
#
# With CA.pem it speaks TLS: that authority must have signed the gateway's certificate for HOST. CERT.pem and KEY.pem are
# the client's own. It prints the answer. Exit code 0: ok, delivered, stored or a pong; 1: any other status; 2: no answer,
# with the reason on one line. The notice may have been recorded all the same: sending the same again is safe.

# Seconds for everything: connecting, authentication and the answer.
NOTIFY_WAIT=5

_notify_fail() { printf 'notify: %s\n' "$1" >&2; exit 2; }

# When the time is over, these would complain about each other's end; so their stderr is dropped.
_notify_hex() { { od -An -v -tx1 | tr -d ' \n'; } 2>/dev/null; }

_notify_sha256() { openssl dgst -sha256 -binary; }

# HMAC-SHA256 (RFC 2104) of $1 with NOTIFY_KEY, by hand: openssl would want the key on its command line.
_notify_proof() {
    local secret=$NOTIFY_KEY inner='' outer='' hash=cat i byte
    # The key is the bytes of its text, without the line break of a file.
    while [[ $secret == *[$'\r\n'] ]]; do secret=${secret%?}; done
    ((${#secret} <= 64)) || hash=_notify_sha256
    secret=$(printf %s "$secret" | "$hash" | _notify_hex)
    for ((i = 0; i < 64; i++)); do
        byte=0x0${secret:2 * i:2}
        printf -v inner '%s\\x%02x' "$inner" $((byte ^ 0x36))
        printf -v outer '%s\\x%02x' "$outer" $((byte ^ 0x5c))
    done
    { printf "$outer"; printf "$inner%s" "$1" | _notify_sha256; } | _notify_sha256 | _notify_hex
}

# Prints $1 as a frame.
_notify_frame() {
    local length
    printf -v length '\\x%02x' $((${#1} >> 24)) $((${#1} >> 16 & 255)) $((${#1} >> 8 & 255)) $((${#1} & 255))
    printf "$length%s" "$1"
}

# Reads the fields of the JSON object $1, as they are written there, into the caller's `field`; fails where it is none.
# It reads token by token and does not check that their order is valid JSON.
_notify_parse() {
    local rest=$1 depth=0 token='' last='' name=''
    local next='^[[:space:]]*("([^"\\]|\\.)*"|[][{}:,]|[^][{}:,"[:space:]]+)[[:space:]]*'
    field=()
    [[ $rest =~ ^[[:space:]]*\{ ]] || return
    while [[ $rest =~ $next ]]; do
        token=${BASH_REMATCH[1]} rest=${rest:${#BASH_REMATCH[0]}}
        case $((depth == 1))$token in
            ?[{[]) ((++depth)) ;;
            ?[}\]]) ((--depth)) || break ;;
            1:) name=$last ;;
            1,) name='' ;;
            1*) [[ -z $name ]] || field[$name]=$token ;;
        esac
        last=$token
    done
    [[ $token == '}' && $depth == 0 && -z $rest ]]
}

# Reads the gateway's next message into the caller's `message` and `field`.
_notify_receive() {
    local length
    length=$(head -c 4 2>/dev/null | _notify_hex)
    [[ ${#length} == 8 ]] || _notify_fail "$closed"
    length=$((16#$length))
    ((length >= 1 && length <= 65536)) || _notify_fail "a frame of $length bytes: is this the gateway's internal port?"
    message=$({ head -c "$length" | tr '\0\n' '? '; } 2>/dev/null)
    ((${#message} == length)) || _notify_fail "$closed"
    _notify_parse "$message" || _notify_fail 'what should be one JSON object is none'
    [[ ${field['"type"']-} != '"error"' ]] || _notify_fail "the gateway refused: $message"
}

# As client $1 sends the notice $2 to the gateway, which is stdin and stdout, and prints the answer to file descriptor 3.
_notify_talk() {
    local message challenge wanted='"answer"'
    local -A field
    _notify_receive
    challenge=${field['"challenge"']-}
    [[ ${field['"type"']-}${field['"version"']-}$challenge =~ ^\"hello\"1\"[A-Za-z0-9_-]+\"$ ]] ||
        _notify_fail "no hello of version 1: $message"
    _notify_parse "$2" || _notify_fail 'what should be one JSON object is none'
    [[ ${field['"type"']-} != '"ping"' ]] || wanted='"pong"'
    trap '' PIPE # If the gateway has gone, the next read notices it.
    _notify_frame "{\"type\":\"auth\",\"client\":\"$1\",\"proof\":\"$(_notify_proof "${challenge//\"/}")\"}" 2>/dev/null
    _notify_frame "$2" 2>/dev/null
    # Other messages are news, or of a later version.
    until _notify_receive && [[ ${field['"type"']-} == "$wanted" ]]; do :; done
    printf '%s\n' "$message" >&3
    [[ ${field['"status"']-'"ok"'} =~ ^\"(ok|delivered|stored)\"$ ]]
}

# Connects to the address $1 and talks; $4 is the CA, $5 and $6 the client's own certificate and key.
_notify_connect() {
    local host=${1%:*} port=${1##*:} gateway closed='the gateway closed the connection' check=-verify_hostname talk
    host=${host#[} host=${host%]}
    exec 3>&1
    if (($# < 4)); then
        { exec {gateway}<>"/dev/tcp/$host/$port"; } 2>/dev/null || _notify_fail "no connection to $1"
        _notify_talk "$2" "$3" <&"$gateway" >&"$gateway"
        return
    fi
    closed="no TLS connection to a gateway with a certificate for $host, or it was closed"
    [[ $host != *:* && ! $host =~ ^[0-9.]+$ ]] || check=-verify_ip
    coproc gateway { _notify_talk "$2" "$3"; }
    talk=$! port=${gateway[1]}
    openssl s_client -quiet -no_ign_eof -connect "$1" -CAfile "$4" -no-CApath -no-CAstore -verify 9 \
        -verify_return_error "$check" "$host" ${5:+-cert "$5" -key "$6"} <&"${gateway[0]}" >&"$port" 2>/dev/null
    exec {port}>&-
    wait "$talk"
}

# Sends the notice $3 as client $2 to the gateway at $1, with TLS where $4 is a CA's file, and prints the answer.
notify() {
    export -f _notify_fail _notify_hex _notify_sha256 _notify_proof _notify_frame _notify_parse _notify_receive \
        _notify_talk _notify_connect
    local status=0
    # In the locale C a character is a byte.
    LC_ALL=C NOTIFY_KEY=$NOTIFY_KEY timeout "$NOTIFY_WAIT" bash -c '_notify_connect "$@"' notify "$@" || status=$?
    ((status != 124)) || { printf 'notify: no answer within %s s\n' "$NOTIFY_WAIT" >&2; status=2; }
    return "$status"
}

# From here on: the command line.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    [[ -n ${NOTIFY_KEY-} && $# =~ ^[346]$ ]] ||
        _notify_fail "usage: NOTIFY_KEY=... notify.sh HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]"
    notify "$@"
fi
