# The daemon's part of the hierarchy.

no_process_is_in_a_cgroup_that_has_others_below_it() {
    orca up -f quickstart.yaml
    for dir in $(find /sys/fs/cgroup -mindepth 1 -type d); do
        [ -n "$(find "$dir" -mindepth 1 -maxdepth 1 -type d)" ] || continue
        is "$(cat "$dir/cgroup.procs")" ""
    done
    orca down -f quickstart.yaml
}

# What a service manager hands over: a marked cgroup, with the daemon in one below it.
containers_are_in_the_subtree_that_was_handed_over() {
    mkdir -p /sys/fs/cgroup/unit/daemon
    setfattr -n user.delegate -v 1 /sys/fs/cgroup/unit
    export ORCA_ROOT=/var/lib/orca-unit ORCA_RUN=/run/orca-unit
    sh -c 'echo $$ >/sys/fs/cgroup/unit/daemon/cgroup.procs; exec orca daemon' &
    is_ready() { [ -S /run/orca-unit/orca.sock ]; }
    eventually is_ready
    orca image import /tmp/busybox.tar busybox
    orca up -f limits.yaml
    cgroup=$(cgroup limits limits-app-1)
    case $cgroup in
    /sys/fs/cgroup/unit/*) ;;
    *) fail "the container is in $cgroup" ;;
    esac
    is "$(cat "$cgroup/memory.max")" 67108864
    is "$(cat /sys/fs/cgroup/unit/cgroup.procs)" ""
    orca system stop --containers
    wait
    empty() { [ -z "$(cat /sys/fs/cgroup/unit/daemon/cgroup.procs)" ]; }
    eventually empty
    is "$(find /sys/fs/cgroup/unit -mindepth 1 -type d)" /sys/fs/cgroup/unit/daemon
    rmdir /sys/fs/cgroup/unit/daemon /sys/fs/cgroup/unit
    rm -rf "$ORCA_ROOT" "$ORCA_RUN"
}
check no_process_is_in_a_cgroup_that_has_others_below_it
check containers_are_in_the_subtree_that_was_handed_over
