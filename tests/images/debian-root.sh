#!/bin/sh
# Builds a root file system from Debian packages and writes it as a tar.
#
#   debian-root.sh OUT.tar PACKAGE...
#
# The packages and all they depend on are downloaded and unpacked; no maintainer script runs, so what
# those would have made (users, directories) is made here. Needs apt and dpkg; no root file system of
# the host is touched.
set -eu
out=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root" "$work/debs"

closure() {
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$@" | grep '^[a-z0-9]' | grep -v '^<' | sort -u
}

# Packages that only matter to an installed system, and are large.
skip='^(debconf|dpkg|perl|perl-base|libperl.*|tar|systemd.*|udev|init-system-helpers|lsb-base|adduser|cdebconf|debconf-2.0|perl:any|.*-doc|libdebian-installer.*|awk|mawk|gawk.*|original-awk|python3.*|libpython3.*|ucf|sensible-utils|procps|psmisc|logrotate|netbase|locales|locales-all|tzdata|libc-l10n)$'
wanted=$(closure "$@" base-files libc-bin | grep -Ev "$skip")
# A name without a candidate is a virtual package; whoever provides it is in the list as well.
packages=$(apt-cache policy $wanted | awk '/^[^ ]/ { name = $1; sub(":$", "", name) }
    /Candidate:/ && $2 != "(none)" { print name }')
(cd "$work/debs" && apt-get download -qq -o APT::Sandbox::User=root $packages >/dev/null)
for deb in "$work"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$root" --keep-directory-symlink
done
install -m 755 /usr/bin/busybox "$root/bin/busybox"
for name in sh ls cat ps id wget nc sleep echo env kill mkdir touch head tail grep true false hostname; do
    [ -e "$root/bin/$name" ] || [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/bin/$name"
done
mkdir -p "$root/tmp" "$root/run" "$root/var/tmp" "$root/var/lib" "$root/etc"
chmod 1777 "$root/tmp" "$root/var/tmp"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
redis:x:101:101::/var/lib/redis:/usr/sbin/nologin
postgres:x:102:102::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
PASSWD
cat >"$root/etc/group" <<'GROUP'
root:x:0:
adm:x:4:
www-data:x:33:
redis:x:101:
postgres:x:102:
nogroup:x:65534:
GROUP
for owned in "redis:101:101:var/lib/redis" "postgres:102:102:var/lib/postgresql" "postgres:102:102:run/postgresql" "www:33:33:var/www"; do
    IFS=: read -r _ uid gid path <<OWNED
$owned
OWNED
    mkdir -p "$root/$path"
    chown "$uid:$gid" "$root/$path"
done
mkdir -p "$root/var/log/nginx" "$root/var/lib/nginx"
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale"
ldconfig -r "$root" 2>/dev/null || true
tar -C "$root" --numeric-owner --sort=name --mtime=@0 -cf "$out.new" .
mv "$out.new" "$out"
