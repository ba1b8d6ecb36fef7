#!/bin/sh
# Runs orca as a unit of systemd, on Debian in an emulated machine: containers outlive a restart of it.
#
#   tests/vm/systemd.sh [ORCA]
#
# Needs root, for debootstrap, and the archive of Debian, once. Not a part of `cargo test`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
orca=${1:-$repository/target/x86_64-unknown-linux-gnu/debug/orca}
cache=$repository/target/vm
seconds=${VM_SECONDS:-300}

sh "$here/kernel.sh" "$cache"
if [ ! -e "$cache/debian" ]; then
    rm -rf "$cache/debian.new"
    debootstrap --variant=minbase --include=systemd,systemd-sysv bookworm "$cache/debian.new" >&2
    mv "$cache/debian.new" "$cache/debian"
fi
work=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
sh "$here/initramfs.sh" "$cache" "$orca" "$work/small"
# Documentation and what installs packages is of no use here.
mkdir "$root"
tar -C "$cache/debian" -cf - --exclude=./usr/share --exclude=./var/cache --exclude=./var/lib/apt \
    --exclude=./usr/lib/x86_64-linux-gnu/perl-base . | tar -C "$root" -xf -
(cd "$work" && mkdir small.root && cd small.root && busybox cpio -idm <../small 2>/dev/null)
mv "$work/small.root/bin/orca" "$root/usr/bin/orca"
cp "$work/small.root/bin/busybox" "$root/usr/bin/busybox"
cp -r "$work/small.root/lib/modules" "$root/usr/lib"
ln -sf busybox "$root/usr/bin/modprobe"
ln -sf ../bin/busybox "$root/usr/sbin/modprobe"
cp -r "$work/small.root/tests" "$root/tests"
cp "$here"/systemd/* "$root/tests"
cp "$here"/systemd/*.service "$root/etc/systemd/system"
cp "$here/systemd/init" "$root/init"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../orca.service ../vm-tests.service "$root/etc/systemd/system/multi-user.target.wants"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs"

timeout --foreground "$seconds" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 3072 \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -kernel "$(echo "$cache"/kernel/boot/vmlinuz-*)" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off systemd.show_status=0" </dev/null 2>&1 |
    sed -u 's|\r$||' | tee "$work/console"
! grep '^FAIL ' "$work/console" && grep -q '^DONE$' "$work/console"
