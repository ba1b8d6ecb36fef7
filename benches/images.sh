#!/bin/bash
# How long it takes to load and pull an image of a few hundred megabytes: orca beside docker, podman and
# skopeo with umoci, in one run on one machine. The image is a Debian root file system in three layers.
#
#   benches/images.sh [ORCA] [ROUNDS]
#
# As root; needs debootstrap, docker, podman, skopeo, umoci and docker-registry. Everything it starts and
# writes is its own. IMAGES_CACHE (a directory) keeps the root file system for the next time.
set -euo pipefail
orca=$(realpath "${1:-target/release/orca}")
rounds=${2:-5}
work=$(mktemp -d /var/tmp/orca-images.XXXXXX)
cache=${IMAGES_CACHE:-$work}
pids=()

finish() {
    orca system stop --containers >/dev/null 2>&1 || true
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    grep -o "$work[^ ]*" /proc/self/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

orca() { "$orca" --root "$work/orca" --run "$work/orca-run" "$@"; }
docker() { command docker -H "unix://$work/docker.sock" "$@"; }
podman() {
    command podman --root "$work/podman" --runroot "$work/podman-run" --tmpdir "$work/podman-tmp" \
        --storage-driver overlay --log-level error "$@"
}
skopeo() { command skopeo --insecure-policy "$@"; }

# ---- the image

if [ ! -d "$cache/root" ]; then
    debootstrap --variant=minbase --include=perl,git-man bookworm "$cache/root.new" >"$work/debootstrap.log"
    mv "$cache/root.new" "$cache/root"
fi
image() {
    umoci init --layout "$work/layout"
    umoci new --image "$work/layout:v1"
    local layer
    for layer in base perl more; do
        umoci unpack --image "$work/layout:v1" "$work/bundle" >/dev/null
        case $layer in
        base) tar -C "$cache/root" --exclude=./usr/share/perl --exclude=./usr/lib/x86_64-linux-gnu/perl \
            --exclude="./dev/*" -c . | tar -C "$work/bundle/rootfs" -x ;;
        perl) tar -C "$cache/root" -c ./usr/share/perl ./usr/lib/x86_64-linux-gnu/perl |
            tar -C "$work/bundle/rootfs" -x ;;
        more) cp -a "$cache/root/usr/share/man" "$work/bundle/rootfs/srv" ;;
        esac
        umoci repack --image "$work/layout:v1" "$work/bundle" >/dev/null
        rm -rf "$work/bundle"
    done
}
echo "making the image" >&2
image
skopeo copy -q "oci:$work/layout:v1" "docker-archive:$work/image.tar:bench:1"

# ---- those who take part

cat >"$work/registry.yml" <<YML
version: 0.1
log: { accesslog: { disabled: false }, level: error }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: 127.0.0.1:15999 }
YML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids+=($!)
mkdir -p "$work/docker-exec"
dockerd --data-root "$work/docker" --exec-root "$work/docker-exec" -H "unix://$work/docker.sock" \
    -p "$work/docker.pid" --bridge=none --iptables=false --insecure-registry 127.0.0.1:15999 \
    >"$work/dockerd.log" 2>&1 &
pids+=($!)
until docker info >/dev/null 2>&1; do sleep 0.2; done
remote=127.0.0.1:15999/bench:1
skopeo copy -q --dest-tls-verify=false "oci:$work/layout:v1" "docker://$remote"
orca image ls >/dev/null
orca image load -q -i "$work/layout" >/dev/null
orca image prune -a >/dev/null

echo "image: $(du -sm "$cache/root" | cut -f1) MB of files, archive $(du -m "$work/image.tar" | cut -f1) MB," \
    "in the registry $(du -sm "$work/layout" | cut -f1) MB, $(find "$cache/root" | wc -l) files"
echo "docker $(docker version -f '{{.Server.Version}}') ($(docker info -f '{{.Driver}}'))," \
    "podman $(podman version -f '{{.Version}}'), $(skopeo --version), $(umoci --version | head -1)"

# ---- the clock

# measure NAME CLEAN COMMAND...: the median of all rounds, after CLEAN each time.
measure() {
    local name=$1 clean=$2 times=() began
    shift 2
    for _ in $(seq "$rounds"); do
        $clean >/dev/null 2>&1 || true
        # ext4 searches long among what was deleted a moment ago.
        sync && sleep 6
        began=$(date +%s%N)
        "$@" >/dev/null 2>"$work/said" || { echo "$name failed: $(tail -3 "$work/said")" >&2; return; }
        times+=($((($(date +%s%N) - began) / 1000000)))
    done
    printf '%-34s %s\n' "$name" "$(printf '%s\n' "${times[@]}" | sort -n |
        awk '{ t[NR] = $1 } END { printf "min %5d  median %5d  max %5d ms", t[1], t[int((NR + 1) / 2)], t[NR] }')"
}
no_orca() { orca image prune -a; }
no_docker() { docker image prune -af; docker rmi -f bench:1 "$remote"; }
no_podman() { podman rmi -af; }
no_umoci() { rm -rf "$work/foreign" "$work/unpacked"; }
through_umoci() {
    skopeo copy -q --src-tls-verify=false "$1" "oci:$work/foreign:v1"
    umoci unpack --image "$work/foreign:v1" "$work/unpacked"
}

echo "== load of a docker archive"
measure orca no_orca orca image load -q -i "$work/image.tar"
measure docker no_docker docker load -q -i "$work/image.tar"
measure podman no_podman podman load -q -i "$work/image.tar"
measure "skopeo + umoci" no_umoci through_umoci "docker-archive:$work/image.tar"
echo "== load of an OCI layout"
measure orca no_orca orca image load -q -i "$work/layout"
measure "umoci" no_umoci through_umoci "oci:$work/layout:v1"
if orca pull --help >/dev/null 2>&1; then
    echo "== pull from a registry on this machine"
    measure orca no_orca orca image pull -q "$remote"
    measure docker no_docker docker pull -q "$remote"
    measure podman no_podman podman pull -q --tls-verify=false "$remote"
    measure "skopeo + umoci" no_umoci through_umoci "docker://$remote"
    echo "== pull again, nothing has changed"
    orca image pull -q "$remote" >/dev/null
    requests() { grep -c '"GET \|"HEAD ' "$work/registry.log" || true; }
    before=$(requests)
    measure orca true orca image pull -q "$remote"
    echo "requests of one pull: $((($(requests) - before) / rounds))"
    docker pull -q "$remote" >/dev/null
    measure docker true docker pull -q "$remote"
fi

echo "== memory of the daemon, highest so far"
daemon=$(pgrep -f "$work/orca " | head -1)
grep VmHWM "/proc/$daemon/status" || true
