#!/bin/bash
# How long it takes to load and pull an image of a few hundred megabytes: orca beside docker, podman and
# skopeo with umoci, in one run on one machine. The image is a Debian root file system in three layers.
#
#   benches/images.sh [ORCA] [ROUNDS] [PART...]
#
# Parts: `prepare` (nothing is measured), `load`, `layout`, `pull`, `again`, `memory`; all if none is named.
# As root; needs debootstrap, docker, podman, skopeo, umoci and docker-registry. Everything it starts and
# writes is its own. IMAGES_CACHE (a directory) keeps the image for the next time.
set -euo pipefail
orca=$(realpath "${1:-target/release/orca}")
rounds=${2:-5}
shift $(($# < 2 ? $# : 2))
parts=${*:-load layout pull again memory}
work=$(mktemp -d /var/tmp/orca-images.XXXXXX)
cache=${IMAGES_CACHE:-$work}
pids=() docker_pid=

finish() {
    orca system stop --containers >/dev/null 2>&1 || true
    [ -z "$docker_pid" ] || stop_docker
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    grep -o "$work[^ ]*" /proc/self/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# Each measurement has a new root: what was deleted a moment ago makes ext4 search long for new inodes.
orca_root=$work/orca-0 docker_root=$work/docker-0 podman_root=$work/podman-0 umoci_root=$work/umoci-0
orca() { "$orca" --root "$orca_root" --run "$work/orca-run" "$@"; }
docker() { command docker -H "unix://$work/docker.sock" "$@"; }
podman() {
    command podman --root "$podman_root" --runroot "$work/podman-run" --tmpdir "$work/podman-tmp" \
        --storage-driver overlay --log-level error "$@"
}
skopeo() { command skopeo --insecure-policy "$@"; }

# ---- the image

if [ ! -d "$cache/root" ]; then
    debootstrap --variant=minbase --include=perl,git-man bookworm "$cache/root.new" >"$work/debootstrap.log"
    mv "$cache/root.new" "$cache/root"
fi
# image DIR COPIES: a layout and a docker archive of the root file system in three layers, the last of them
# with more of it.
image() {
    local dir=$1 copies=$2 layer copy
    rm -rf "$dir.new" && mkdir -p "$dir.new"
    umoci init --layout "$dir.new/layout"
    umoci new --image "$dir.new/layout:v1"
    for layer in base perl more; do
        umoci unpack --image "$dir.new/layout:v1" "$work/bundle" >/dev/null
        case $layer in
        base) tar -C "$cache/root" --exclude=./usr/share/perl --exclude=./usr/lib/x86_64-linux-gnu/perl \
            --exclude="./dev/*" -c . | tar -C "$work/bundle/rootfs" -x ;;
        perl) tar -C "$cache/root" -c ./usr/share/perl ./usr/lib/x86_64-linux-gnu/perl |
            tar -C "$work/bundle/rootfs" -x ;;
        more)
            cp -a "$cache/root/usr/share/man" "$work/bundle/rootfs/srv"
            for copy in $(seq "$copies"); do cp -a "$cache/root/usr" "$work/bundle/rootfs/srv/$copy"; done
            ;;
        esac
        umoci repack --image "$dir.new/layout:v1" "$work/bundle" >/dev/null
        rm -rf "$work/bundle"
    done
    skopeo copy -q "oci:$dir.new/layout:v1" "docker-archive:$dir.new/image.tar:bench:1"
    mv "$dir.new" "$dir"
}
[ -d "$cache/small" ] || { echo "making the image" >&2; image "$cache/small" 0; }
case $parts in *memory* | *prepare*)
    [ -d "$cache/large" ] || { echo "making the large image" >&2; image "$cache/large" 4; } ;;
esac
case $parts in *prepare*) exit ;; esac
layout=$cache/small/layout archive=$cache/small/image.tar

# ---- those who take part

cat >"$work/registry.yml" <<YML
version: 0.1
log: { accesslog: { disabled: false }, level: error }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: 127.0.0.1:15999 }
YML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids+=($!)
start_docker() {
    mkdir -p "$work/docker-exec"
    dockerd --data-root "$docker_root" --exec-root "$work/docker-exec" -H "unix://$work/docker.sock" \
        -p "$work/docker.pid" --bridge=none --iptables=false --insecure-registry 127.0.0.1:15999 \
        >>"$work/dockerd.log" 2>&1 &
    docker_pid=$!
    until docker info >/dev/null 2>&1; do sleep 0.2; done
}
stop_docker() { kill "$docker_pid" && wait "$docker_pid" 2>/dev/null || true; }
start_docker
remote=127.0.0.1:15999/bench:1
skopeo copy -q --dest-tls-verify=false "oci:$layout:v1" "docker://$remote"
cat "$archive" "$layout"/blobs/*/* >/dev/null

echo "image: $(du -sm "$cache/root" | cut -f1) MB of files, archive $(du -m "$archive" | cut -f1) MB," \
    "in the registry $(du -sm "$layout" | cut -f1) MB, $(find "$cache/root" | wc -l) files"
echo "docker $(docker version -f '{{.Server.Version}}') ($(docker info -f '{{.Driver}}'))," \
    "podman $(podman version -f '{{.Version}}'), $(skopeo --version), $(umoci --version | head -1)"

# ---- the clock

# measure NAME READY COMMAND...: the median of all rounds, after READY each time.
measure() {
    local name=$1 ready=$2 times=() began
    shift 2
    for round in $(seq "$rounds"); do
        $ready >/dev/null 2>"$work/said" || { echo "$ready failed: $(tail -3 "$work/said")" >&2; return; }
        sync && sleep 1
        began=$(date +%s%N)
        "$@" >/dev/null 2>"$work/said" || { echo "$name failed: $(tail -3 "$work/said")" >&2; return; }
        times+=($((($(date +%s%N) - began) / 1000000)))
    done
    printf '%-34s %s\n' "$name" "$(printf '%s\n' "${times[@]}" | sort -n |
        awk '{ t[NR] = $1 } END { printf "min %5d  median %5d  max %5d ms", t[1], t[int((NR + 1) / 2)], t[NR] }')"
}
# The number that the next new root has.
roots=0
new_orca() {
    orca system stop --containers || true
    orca_root=$work/orca-$((++roots))
    "$orca" --root "$orca_root" --run "$work/orca-run" daemon >>"$work/orca.log" 2>&1 &
    pids+=($!)
    until orca image ls; do sleep 0.1; done
}
new_docker() {
    stop_docker
    docker_root=$work/docker-$((++roots))
    start_docker
}
new_podman() {
    podman_root=$work/podman-$((++roots))
    podman info
}
new_umoci() {
    umoci_root=$work/umoci-$((++roots))
    mkdir "$umoci_root"
}
through_umoci() {
    skopeo copy -q --src-tls-verify=false "$1" "oci:$umoci_root/foreign:v1"
    umoci unpack --image "$umoci_root/foreign:v1" "$umoci_root/unpacked"
}

wanted() { case " $parts " in *" $1 "*) echo "== $2" ;; *) false ;; esac; }

if wanted load "load of a docker archive"; then
    measure orca new_orca orca image load -q -i "$archive"
    measure docker new_docker docker load -q -i "$archive"
    measure podman new_podman podman load -q -i "$archive"
    measure "skopeo + umoci" new_umoci through_umoci "docker-archive:$archive"
fi
if wanted layout "load of an OCI layout"; then
    measure orca new_orca orca image load -q -i "$layout"
    measure podman new_podman podman pull -q "oci:$layout:v1"
    measure "umoci" new_umoci through_umoci "oci:$layout:v1"
fi
if wanted pull "pull from a registry on this machine"; then
    measure orca new_orca orca image pull -q "$remote"
    measure docker new_docker docker pull -q "$remote"
    measure podman new_podman podman pull -q --tls-verify=false "$remote"
    measure "skopeo + umoci" new_umoci through_umoci "docker://$remote"
fi
if wanted again "pull again, nothing has changed"; then
    orca image pull -q "$remote" >/dev/null
    requests() { grep -c '"GET \|"HEAD ' "$work/registry.log" || true; }
    before=$(requests)
    measure orca true orca image pull -q "$remote"
    echo "requests of one pull: $((($(requests) - before) / rounds))"
    docker pull -q "$remote" >/dev/null
    measure docker true docker pull -q "$remote"
fi
if wanted memory "most memory of the daemon, for an archive of"; then
    for size in small large; do
        new_orca >/dev/null 2>&1
        orca image load -q -i "$cache/$size/image.tar" >/dev/null
        printf '%-34s %s\n' "$(du -m "$cache/$size/image.tar" | cut -f1) MB" \
            "$(awk '/VmHWM/ { print $2, $3 }' "/proc/${pids[-1]}/status")"
    done
fi
