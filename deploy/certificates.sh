#!/usr/bin/env bash
# Certificates for the internal port between two hosts: a private CA, one certificate for the gateway's names, and one that
# callback-service shows.
#
#     deploy/certificates.sh [--days N] DIR NAME…
#
# NAME is what callback-service calls the gateway: a DNS name or an IP address; several gateways may share a certificate
# with the names of all. Run it again, with all names, to renew: the CA stays, the rest is made anew. Needs openssl.
#
#     DIR/ca.pem  DIR/ca.key      the CA, for 10 years; its key signs and is needed nowhere else
#     DIR/gateway/                for the gateway's host: ca.pem gateway.pem gateway.key
#     DIR/callback/               for callback-service's host: ca.pem callback.pem callback.key
set -euo pipefail

ca_days=3650
days=825

wrong() {
    echo "certificates.sh: $1" >&2
    exit 64
}
usage() {
    # Prints the comment at the top of this file.
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit ;;
        --days)
            [[ ${2-} =~ ^[1-9][0-9]{0,3}$ ]] || wrong "--days needs a number from 1 to $ca_days, not \"${2-}\""
            [ "$2" -le "$ca_days" ] || wrong "--days $2 is longer than the CA lives: $ca_days at most"
            days=$2
            shift 2
            ;;
        --) shift && break ;;
        -*) wrong "there is no option $1; see --help" ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || wrong 'say the folder and the names of the gateway: certificates.sh DIR NAME…'
dir=${1%/}
shift
[ -n "$dir" ] || wrong 'the folder has no name: certificates.sh DIR NAME…'
[ $# -gt 0 ] || wrong "say what callback-service calls the gateway, a DNS name or an IP address: certificates.sh $dir NAME…"
command -v openssl >/dev/null || wrong 'openssl is missing: install it, for example with apt-get install openssl'

is_ipv4() {
    [[ $1 =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$ ]] || return
    local part
    # No leading zeros, because some programs read them as octal.
    for part in "${BASH_REMATCH[@]:1}"; do
        [[ $part =~ ^(0|[1-9][0-9]*)$ && $part -le 255 ]] || return
    done
}
# A rough check; openssl makes the exact one below.
is_ipv6() { [[ $1 == *:*:* && $1 =~ ^[0-9A-Fa-f:.]+$ ]]; }
is_dns() {
    local label='[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
    # A last part of digits only would look like an IP address.
    [[ ${#1} -le 253 && $1 =~ ^$label(\.$label)*$ && ! $1 =~ (^|\.)[0-9]+$ ]]
}
names=''
for name in "$@"; do
    if is_ipv4 "$name" || is_ipv6 "$name"; then
        names+=,IP:$name
    elif is_dns "$name"; then
        names+=,DNS:${name,,}
    else
        wrong "\"$name\" is neither a DNS name nor an IP address: no port, no scheme, no *"
    fi
done
names=${names#,}

# The containers' users must read the keys, so the files are readable by all, and only this folder is closed to others.
umask 077
[ -e "$dir" ] || mkdir -p "$dir"
[ -d "$dir" ] || wrong "$dir is no folder"
case $(ls -ldn "$dir") in
    drwx------*) ;;
    *) wrong "$dir is open to others, and the keys inside will be readable: chmod 700 $dir" ;;
esac
[ -w "$dir" ] || wrong "$dir cannot be written: be its owner, or root"

# The files are made in this folder, so that a rename replaces each one at once.
work=$(mktemp -d "$dir/.making.XXXXXX")
trap 'rm -rf "$work"' EXIT
quietly() {
    "$@" 2>"$work/said" || { cat "$work/said" >&2 && exit 1; }
}
new_key() { quietly openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
serial() { echo "0x0$(openssl rand -hex 15)"; }
request() { # common name, key, request
    # Our own configuration, because the system's may add extensions.
    printf '[req]\nprompt = no\ndistinguished_name = name\n[name]\nO = Saoma\nCN = %s\n' "$1" >"$work/request.cnf"
    quietly openssl req -new -sha256 -config "$work/request.cnf" -key "$2" -out "$3"
}

if [ ! -e "$dir/ca.pem" ] && [ ! -e "$dir/ca.key" ]; then
    new_key "$work/ca.key"
    request "internal CA $(date -u +%Y-%m-%d)" "$work/ca.key" "$work/ca.csr"
    printf '%s\n' 'basicConstraints = critical, CA:TRUE, pathlen:0' 'keyUsage = critical, keyCertSign, cRLSign' \
        'subjectKeyIdentifier = hash' >"$work/ca.ext"
    quietly openssl x509 -req -sha256 -in "$work/ca.csr" -signkey "$work/ca.key" -set_serial "$(serial)" -days "$ca_days" \
        -extfile "$work/ca.ext" -out "$work/ca.pem"
    chmod 400 "$work/ca.key"
    chmod 444 "$work/ca.pem"
    # A link never replaces a file. If two runs begin at once, only one CA stays.
    ln "$work/ca.key" "$dir/ca.key" || wrong "another run is making a CA in $dir"
    ln "$work/ca.pem" "$dir/ca.pem"
    echo "a new CA, for $ca_days days: $dir/ca.pem. Whoever has $dir/ca.key can pass for the gateway: keep it off both hosts if you can"
fi

for file in ca.pem ca.key; do
    [ -e "$dir/$file" ] || wrong "$dir has a CA without its $file: bring that back, or name an empty folder for a new CA"
    [ -r "$dir/$file" ] || wrong "$dir/$file cannot be read: be its owner, or root"
done
openssl x509 -in "$dir/ca.pem" -noout 2>/dev/null || wrong "$dir/ca.pem is no certificate: bring the CA's back, or name an empty folder"
ca_public=$(openssl pkey -in "$dir/ca.key" -pubout 2>/dev/null) || wrong "$dir/ca.key is no private key: bring the CA's back, or name an empty folder"
[ "$ca_public" = "$(openssl x509 -in "$dir/ca.pem" -noout -pubkey)" ] || wrong "$dir/ca.pem and $dir/ca.key do not belong together"
ca_end=$(openssl x509 -in "$dir/ca.pem" -noout -enddate)
openssl x509 -in "$dir/ca.pem" -noout -checkend 0 >/dev/null ||
    wrong "the CA has expired (${ca_end#*=}): name an empty folder for a new one; README.md says how to change over"
# Issued before the CA's last day, a certificate must not outlive it.
openssl x509 -in "$dir/ca.pem" -noout -checkend $((days * 86400 - 86400)) >/dev/null ||
    wrong "the CA ends on ${ca_end#*=}, before $days days are over: say fewer --days, or name an empty folder for a new CA"

leaf() { # name, purpose, other extensions
    local name=$1 purpose=$2
    shift 2
    mkdir "$work/$name"
    new_key "$work/$name/$name.key"
    request "$name" "$work/$name/$name.key" "$work/$name.csr"
    printf '%s\n' 'basicConstraints = critical, CA:FALSE' 'keyUsage = critical, digitalSignature' "extendedKeyUsage = $purpose" \
        'subjectKeyIdentifier = hash' 'authorityKeyIdentifier = keyid' "$@" >"$work/$name.ext"
    openssl x509 -req -sha256 -in "$work/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -set_serial "$(serial)" -days "$days" \
        -extfile "$work/$name.ext" -out "$work/$name/$name.pem" 2>"$work/said" ||
        { cat "$work/said" >&2 && wrong "openssl made no certificate for $name: is each name right?"; }
    # Checks the new pair, so that a working pair is never replaced by one that the services refuse.
    quietly openssl verify -CAfile "$dir/ca.pem" -purpose "$([ "$purpose" = serverAuth ] && echo sslserver || echo sslclient)" \
        "$work/$name/$name.pem" >/dev/null
    cat "$dir/ca.pem" >"$work/$name/ca.pem"
    chmod 444 "$work/$name"/*
}
leaf gateway serverAuth "subjectAltName = $names"
leaf callback clientAuth "subjectAltName = DNS:callback"

# Both certificates are made; now they replace the old ones. A service that reads between key and certificate refuses the
# pair. The gateway then keeps its old one, and callback-service tries again.
for name in gateway callback; do
    [ -d "$dir/$name" ] || mkdir "$dir/$name"
    chmod 755 "$dir/$name"
    for file in "$name.key" "$name.pem"; do mv -f "$work/$name/$file" "$dir/$name/$file"; done
    # During a change of CA that file may hold two CAs. It stays if it contains this one.
    openssl verify -CAfile "$dir/$name/ca.pem" "$dir/$name/$name.pem" >/dev/null 2>&1 || mv -f "$work/$name/ca.pem" "$dir/$name/ca.pem"
done

cat <<END
for $days days, for ${names//,/, }:
  $dir/gateway/   to the gateway's host:        ca.pem gateway.pem gateway.key
  $dir/callback/  to callback-service's host:   ca.pem callback.pem callback.key
renewed: send the gateway SIGHUP; callback-service reads its own for each connection
END
