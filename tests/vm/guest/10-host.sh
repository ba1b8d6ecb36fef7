# What sets this host apart.

this_host_has_cgroup_v2_alone() {
    is "$(grep -c ' cgroup' /proc/mounts)" 1
    grep ' /sys/fs/cgroup cgroup2 ' /proc/mounts
    orca system info
}
check this_host_has_cgroup_v2_alone
