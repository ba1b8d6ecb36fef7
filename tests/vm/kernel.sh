#!/bin/sh
# Fetches Debian's kernel for virtual machines and unpacks it; nothing is installed.
#
#   kernel.sh DIRECTORY
#
# Afterwards DIRECTORY/kernel has boot/vmlinuz-* and lib/modules/*. It does nothing when they are there.
set -eu
cache=$1
[ ! -e "$cache/kernel" ] || exit 0
mkdir -p "$cache"
work=$(mktemp -d "$cache/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The package of this name only points to the newest kernel.
newest() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'
}
fetch() {
    package=$(newest)
    [ -n "$package" ] && (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package")
}
# The lists of packages may be missing, or older than the archive.
fetch || { apt-get update -qq && fetch; } || {
    echo "cannot download linux-image-cloud-amd64: is this Debian, and is it online?" >&2
    exit 1
}
dpkg-deb -x "$work"/linux-image-*.deb "$work/root"
mv "$work/root" "$cache/kernel"
