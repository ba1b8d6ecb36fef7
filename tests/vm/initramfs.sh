#!/bin/sh
# Packs what the virtual machine runs: busybox, orca, nft, the kernel's modules and the tests.
#
#   initramfs.sh DIRECTORY ORCA OUT
#
# DIRECTORY is the one kernel.sh filled. Not compressed: unpacking costs an emulated CPU more than
# reading.
set -eu
cache=$1 orca=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d "$cache/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/sbin" "$root/usr/bin" "$root/etc" "$root/tests"

cp /usr/bin/busybox "$root/bin/busybox"
for applet in $(/usr/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
ln -s /bin/busybox "$root/usr/bin/busybox"
# Debug information is most of a debug build.
strip -o "$root/bin/orca" "$orca"

# A program of the host with the libraries it is linked to.
with_libraries() {
    for file in "$1" $(ldd "$1" | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}
for program in nft curl tar setfattr; do
    with_libraries "$(command -v $program)"
done

# The kernel asks /sbin/modprobe for what orca needs, as on any host. Only what has to do with
# networks and file systems is packed.
ln -s ../bin/busybox "$root/sbin/modprobe"
modules=$(echo "$cache"/kernel/lib/modules/*)
version=$(basename "$modules")
target=$root/lib/modules/$version
for part in net/802 net/8021q net/bridge net/core net/ipv4 net/ipv6 net/llc net/netfilter net/netlink \
    net/packet net/unix fs/overlayfs fs/quota lib crypto drivers/net/veth.ko drivers/net/dummy.ko drivers/virtio \
    drivers/block/virtio_blk.ko drivers/block/loop.ko; do
    mkdir -p "$target/kernel/$(dirname "$part")"
    cp -r "$modules/kernel/$part" "$target/kernel/$part"
done
cp "$modules"/modules.builtin* "$modules/modules.order" "$target"
/usr/bin/busybox depmod -b "$root" "$version"

cp "$here/init" "$root/init"
cp "$here"/guest/* "$root/tests"
cp "$here/../../examples/quickstart/stack.yaml" "$root/tests/quickstart.yaml"
cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/bin/sh
PASSWD
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$out.new"
mv "$out.new" "$out"
