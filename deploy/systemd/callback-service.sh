#!/usr/bin/env bash
# Runs a command of callback-service beside its unit: as the unit's user, with the settings, secrets and files that the next
# start would have.
#
#     deploy/systemd/callback-service.sh check
#     deploy/systemd/callback-service.sh forget OPENID
set -euo pipefail

case ${1-} in
    '' | -h) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 64 ;;
esac
# With everything that `systemctl edit` has added. systemd-run puts nothing in the place of %S and %d.
name=callback-service-command
mapfile -t properties < <(systemctl cat callback-service.service |
    sed -nE "s,%S,/var/lib,g; s,%d,/run/credentials/$name.service,g
        s/^(User|DynamicUser|StateDirectory|UMask|Environment|EnvironmentFile|LoadCredential|LoadCredentialEncrypted)=/--property=&/p")
exec systemd-run --quiet --pipe --wait --collect --unit="$name" --property=User=callback-service "${properties[@]}" \
    /usr/local/bin/callback-service "$@"
