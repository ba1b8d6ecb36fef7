#!/bin/sh
# Builds orca and runs it on a kernel with cgroup version 2 alone, in an emulated machine, and judges
# what its tests print (tests/vm/guest).
#
#   tests/vm/run.sh
#
# Needs no KVM; root only so that files on the machine's disk are root's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=$repository/target/vm
seconds=${VM_SECONDS:-900}

sh "$here/kernel.sh" "$cache"
# Two runs at a time may each have a program of their own.
work=$(mktemp -d "$cache/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
sh "$here/programs.sh" >"$work/programs"
orca=$(sed -n 's/^orca //p' "$work/programs")
sh "$here/initramfs.sh" "$cache" "$orca" "$work/initramfs"
sh "$here/disk.sh" "$work/programs" "$work/disk"

timeout --foreground "$seconds" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
    -kernel "$(echo "$cache"/kernel/boot/vmlinuz-*)" -initrd "$work/initramfs" \
    -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off ${VM_ONLY:+only=$VM_ONLY} ${VM_CASES:+cases=$VM_CASES}" </dev/null 2>&1 |
    sed -u 's|\r$||' | tee "$work/console"

passed=$(grep -c '^PASS ' "$work/console" || true)
if grep -q '^FAIL ' "$work/console"; then
    echo "failed:" && grep '^FAIL ' "$work/console"
    exit 1
fi
grep -q '^DONE$' "$work/console" || { echo "the machine did not come to its end in ${seconds} s"; exit 1; }
echo "$passed tests passed"
