#!/bin/sh
# Makes the virtual machine's disk: ext4 with quotas, and on it the test programs of this repository.
#
#   disk.sh PROGRAMS OUT
#
# PROGRAMS has lines `NAME PATH`, as programs.sh prints them. The file systems of a memory disk would not
# do: on Linux 6.1 they cannot be seen through other users.
set -eu
programs=$1 out=$2
repository=$(cd "$(dirname "$0")/../.." && pwd)
root=$(mktemp -d "$(dirname "$out")/disk.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/programs" "$root/tmp" "$root/lib"
chmod 1777 "$root/tmp"
# Tests name the repository by the path it was built at; the disk has what they need of it.
echo "$repository" >"$root/repository.path"
mkdir -p "$root/repository/tests/host" "$root/repository/target"
printf '#!/bin/sh\n# What can be had here is here.\n' >"$root/repository/tests/host/install.sh"
while read -r name path; do
    strip -o "$root/programs/$name" "$path"
    if [ "$name" = orca ]; then
        place=$root/repository/${path#"$repository/"}
        mkdir -p "$(dirname "$place")"
        mv "$root/programs/orca" "$place"
    fi
done <"$programs"
truncate -s 4G "$out"
PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F -O project,quota -E nodiscard -d "$root" "$out"
