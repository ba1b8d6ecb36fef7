# When orca has been stopped, the kernel has nothing of it.

nothing_runs() { [ -z "$(ps -o pid,args | grep -v grep | grep orca)" ]; }
nothing_is_mounted() { ! grep orca /proc/mounts; }

stopping_leaves_nothing_in_the_kernel() {
    orca up -f limits.yaml
    orca up -f quickstart.yaml
    [ "$(nft list tables)" ]
    orca system stop --containers
    eventually nothing_runs
    eventually nothing_is_mounted
    is "$(find /sys/fs/cgroup -mindepth 1 -type d)" ""
    is "$(ls /sys/class/net)" "$(cat /tmp/links)"
    is "$(nft list tables)" ""
}
check stopping_leaves_nothing_in_the_kernel
