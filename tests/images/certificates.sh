#!/usr/bin/env bash
# Tests deploy/certificates.sh: TLS accepts its files, renewing keeps the CA, and wrong inputs give an error. Needs openssl.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/images/check.sh

dir=$work/new/certificates
make() { deploy/certificates.sh "$@"; }
# expression, command: the command exits with 64 and prints the expression.
refuses() {
    local expression=$1 code=0
    shift
    "$@" >"$work/refused" 2>&1 || code=$?
    cat "$work/refused"
    [ "$code" -eq 64 ] && grep -qE -e "$expression" "$work/refused"
}
digest() { openssl x509 -in "$1" -noout -fingerprint -sha256; }
text() { openssl x509 -in "$1" -noout -text; }
verifies() { openssl verify -x509_strict -CAfile "$1" -purpose "$2" "${@:3}"; }
mode() { [ "$(stat -c %a "$2")" = "$1" ] || { stat -c '%a %n' "$2" && return 1; }; }
pair() { [ "$(openssl pkey -in "$1.key" -pubout)" = "$(openssl x509 -in "$1.pem" -noout -pubkey)" ]; }
# Whether it ends in that many days, give or take a minute.
lasts() {
    openssl x509 -in "$1" -noout -checkend $(($2 * 86400 - 60)) && fails openssl x509 -in "$1" -noout -checkend $(($2 * 86400 + 60))
}
# Uses the files as a service does, in real TLS. The server asks for the client's certificate.
speaks() { # the name that the client asks for
    local port status=0
    ports port
    openssl s_server -accept "127.0.0.1:$port" -cert "$dir/gateway/gateway.pem" -key "$dir/gateway/gateway.key" \
        -CAfile "$dir/gateway/ca.pem" -Verify 1 -verify_return_error -naccept 1 -quiet </dev/null >"$work/server" 2>&1 &
    local server=$!
    until_so listening "$port"
    openssl s_client -connect "127.0.0.1:$port" -CAfile "$dir/callback/ca.pem" -cert "$dir/callback/callback.pem" \
        -key "$dir/callback/callback.key" -verify_return_error -verify_hostname "$1" </dev/null >"$work/client" 2>&1 || status=$?
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    cat "$work/server" "$work/client"
    [ "$status" -eq 0 ] && grep -q 'Verify return code: 0 (ok)' "$work/client"
}
listening() { grep -qE "^ *[0-9]+: 0100007F:$(printf %04X "$1") [0-9A-F:]+ 0A " /proc/net/tcp; }

must 'it makes everything at once' make "$dir" gateway.internal Gateway-2.internal 192.0.2.7 2001:db8::7
for file in ca.pem gateway/ca.pem gateway/gateway.pem callback/ca.pem callback/callback.pem; do
    check "$file is a certificate of version 3" says 'Version: 3 ' text "$dir/$file"
done
check 'the CA says that it is one' says 'CA:TRUE, pathlen:0' text "$dir/ca.pem"
check 'that is critical' says 'Basic Constraints: critical' text "$dir/ca.pem"
check 'it signs' says 'Certificate Sign' text "$dir/ca.pem"
check "the gateway's is for servers" verifies "$dir/callback/ca.pem" sslserver "$dir/gateway/gateway.pem"
check 'and for nothing else' fails verifies "$dir/callback/ca.pem" sslclient "$dir/gateway/gateway.pem"
check "callback-service's is for clients" verifies "$dir/gateway/ca.pem" sslclient "$dir/callback/callback.pem"
check 'and for nothing else' fails verifies "$dir/gateway/ca.pem" sslserver "$dir/callback/callback.pem"
for name in gateway.internal gateway-2.internal; do
    check "$name is in it" verifies "$dir/ca.pem" sslserver -verify_hostname "$name" "$dir/gateway/gateway.pem"
done
for address in 192.0.2.7 2001:db8::7; do
    check "$address is in it" verifies "$dir/ca.pem" sslserver -verify_ip "$address" "$dir/gateway/gateway.pem"
done
check 'another name is not' fails verifies "$dir/ca.pem" sslserver -verify_hostname other.internal "$dir/gateway/gateway.pem"
check 'another address is not' fails verifies "$dir/ca.pem" sslserver -verify_ip 192.0.2.8 "$dir/gateway/gateway.pem"
check 'the CA lives for 10 years' lasts "$dir/ca.pem" 3650
for name in gateway callback; do
    check "$name: 825 days" lasts "$dir/$name/$name.pem" 825
    check "$name: the key is the certificate's" pair "$dir/$name/$name"
    check "$name: the folder can be entered by a container's user" mode 755 "$dir/$name"
    check "$name: and the key be read" mode 444 "$dir/$name/$name.key"
done
check 'nobody else comes that far' mode 700 "$dir"
check "the CA's key is its owner's" mode 400 "$dir/ca.key"
check 'nothing else is left there' [ "$(cd "$dir" && find . ! -type d | LC_ALL=C sort | tr '\n' ' ')" = \
    './ca.key ./ca.pem ./callback/ca.pem ./callback/callback.key ./callback/callback.pem ./gateway/ca.pem ./gateway/gateway.key ./gateway/gateway.pem ' ]
check 'both ends speak TLS with them' speaks gateway.internal
check 'under its own names only' fails speaks other.internal

ca=$(digest "$dir/ca.pem") gateway=$(digest "$dir/gateway/gateway.pem") callback=$(digest "$dir/callback/callback.pem")
cp "$dir/gateway/gateway.pem" "$work/before.pem"
# Keeps the file open as a reading service does. A rename must leave the opened file unchanged.
exec 7<"$dir/gateway/gateway.pem"
must 'once more, with fewer days' make --days 30 "$dir" gateway.internal
check 'who was reading reads the old one to its end' cmp "$work/before.pem" <(cat <&7)
exec 7<&-
check 'the CA is the same' [ "$(digest "$dir/ca.pem")" = "$ca" ]
check "the gateway's is another" [ "$(digest "$dir/gateway/gateway.pem")" != "$gateway" ]
check "callback-service's is another" [ "$(digest "$dir/callback/callback.pem")" != "$callback" ]
check 'the one of before is still believed' verifies "$dir/ca.pem" sslserver "$work/before.pem"
check 'and the new one' verifies "$dir/callback/ca.pem" sslserver "$dir/gateway/gateway.pem"
check 'for 30 days' lasts "$dir/gateway/gateway.pem" 30
check 'both ends speak TLS again' speaks gateway.internal

# While a CA is being changed, both ends trust two CAs.
must 'another CA elsewhere' make "$work/other" gateway.internal
cat "$work/other/ca.pem" "$dir/ca.pem" >"$work/both.pem"
cp -f "$work/both.pem" "$dir/gateway/ca.pem"
must 'renewed during a change of CA' make "$dir" gateway.internal
check 'a file of two CAs stays' cmp "$work/both.pem" "$dir/gateway/ca.pem"
cp -f "$work/other/ca.pem" "$dir/gateway/ca.pem"
must 'renewed beside a CA that is not its own' make "$dir" gateway.internal
check 'that one goes' cmp "$dir/ca.pem" "$dir/gateway/ca.pem"

check 'no folder' refuses 'say the folder' make
check 'no name' refuses 'say what callback-service calls the gateway' make "$work/none"
check 'and nothing was made' [ ! -e "$work/none" ]
for name in '' 'gateway.internal:9999' 'https://gateway' '*.internal' '300.1.1.1' '10.0.0' '010.0.0.1' 'a..b' '-gateway' 'a,DNS:b' $'a\nb' 'gate way'; do
    check "no name: $(printf %q "$name")" refuses 'neither a DNS name nor an IP address' make "$work/none" "$name"
done
check 'no address: 1:2:3' refuses 'is each name right' make "$work/bad" 1:2:3
check 'and no certificate of it' [ ! -e "$work/bad/gateway" ]
for days in 0 -1 ten 825d '' 3651 99999999999999999999; do
    check "no number of days: \"$days\"" refuses '--days' make --days "$days" "$work/none" gateway
done
check 'no such option' refuses 'there is no option --force' make --force "$work/none" gateway
check 'help' says 'DIR NAME' make --help
mkdir "$work/empty-path" && ln -s "$(command -v bash)" "$(command -v env)" "$work/empty-path/"
check 'without openssl' refuses 'openssl is missing' env PATH="$work/empty-path" bash deploy/certificates.sh "$work/none" gateway

mkdir -m 755 "$work/open"
check 'an open folder' refuses "chmod 700 $work/open" make "$work/open" gateway
touch "$work/file"
check 'a file in the place of the folder' refuses 'is no folder' make "$work/file" gateway
half() { # what is missing
    rm -rf "$work/half" && cp -a "$dir" "$work/half" && rm -f "$work/half/$1"
    refuses "without its $1" make "$work/half" gateway
}
check 'a CA without its key' half ca.key
check 'a key without its CA' half ca.pem
broken() { # file, what it holds
    rm -rf "$work/broken" && cp -a "$dir" "$work/broken" && rm -f "$work/broken/$1" && cat "$2" >"$work/broken/$1"
    refuses 'is no certificate|is no private key|do not belong together' make "$work/broken" gateway
}
check "something else as the CA's certificate" broken ca.pem /dev/null
check "something else as the CA's key" broken ca.key "$dir/ca.pem"
check "another CA's key" broken ca.key "$work/other/ca.key"
check 'and that CA stays as it was' cmp "$dir/ca.pem" "$work/broken/ca.pem"
# Uses `openssl ca`, because `openssl x509` cannot set the dates of a certificate.
expired() {
    rm -rf "$work/expired" && cp -a "$dir" "$work/expired" && rm -f "$work/expired/ca.pem"
    : >"$work/index"
    printf '[ca]\ndefault_ca=a\n[a]\ndatabase=%s\nnew_certs_dir=%s\nserial=%s\ndefault_md=sha256\npolicy=p\n[p]\nCN=supplied\n[v3]\nbasicConstraints=critical,CA:TRUE\n' \
        "$work/index" "$work" "$work/serial" >"$work/ca.cnf"
    openssl req -new -key "$dir/ca.key" -subj /CN=old -out "$work/old.csr" -config <(printf '[req]\ndistinguished_name=n\n[n]\n') &&
        openssl ca -batch -config "$work/ca.cnf" -extensions v3 -selfsign -rand_serial -keyfile "$dir/ca.key" -in "$work/old.csr" \
            -startdate "$1" -enddate "$2" -notext -out "$work/expired/ca.pem" || return
    refuses "$3" make "$work/expired" gateway
}
check 'a CA whose time is over' expired 20200101000000Z 20210101000000Z 'the CA has expired'
check 'a CA that ends too soon' expired 20200101000000Z "$(date -u -d '+100 days' +%Y%m%d000000Z)" 'before 825 days are over'

report
