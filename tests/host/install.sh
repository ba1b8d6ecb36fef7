#!/bin/sh
# Installs the Debian packages that tests need (tests/host/packages). Safe to repeat: it does nothing
# when they are there. Only for Debian and its kin, as root; elsewhere install them by hand.
set -eu
here=$(dirname "$0")
# Several tests may ask at the same time.
exec 9>"${TMPDIR:-/tmp}/orca-tests-install.lock"
flock 9
missing=$(while read -r package; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
done <"$here/packages")
[ -n "$missing" ] || exit 0
echo "installing" $missing >&2
export DEBIAN_FRONTEND=noninteractive
# A package that brings a service must not start it: a test's ports may be the service's.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -qq -y --no-install-recommends $missing >/dev/null
