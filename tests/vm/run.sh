#!/bin/sh
# Runs orca on a kernel with cgroup version 2 alone, in an emulated machine, and judges what its tests
# print (tests/vm/guest).
#
#   tests/vm/run.sh [ORCA]
#
# ORCA is the program to test; the debug build if it is not given. Needs no root and no KVM.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
orca=${1:-$repository/target/x86_64-unknown-linux-gnu/debug/orca}
cache=$repository/target/vm
seconds=${VM_SECONDS:-300}

sh "$here/kernel.sh" "$cache"
# Two runs at a time may each have a program of their own.
work=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
sh "$here/initramfs.sh" "$cache" "$orca" "$work/initramfs"

timeout --foreground "$seconds" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -kernel "$(echo "$cache"/kernel/boot/vmlinuz-*)" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off ${VM_ONLY:+only=$VM_ONLY}" </dev/null 2>&1 |
    sed -u 's|\r$||' | tee "$work/console"

passed=$(grep -c '^PASS ' "$work/console" || true)
if grep -q '^FAIL ' "$work/console"; then
    echo "failed:" && grep '^FAIL ' "$work/console"
    exit 1
fi
grep -q '^DONE$' "$work/console" || { echo "the machine did not come to its end in ${seconds} s"; exit 1; }
echo "$passed tests passed"
