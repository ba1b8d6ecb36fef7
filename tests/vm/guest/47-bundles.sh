# `orca oci` and the files of version 2.

case=/sys/fs/cgroup/v2/case
disk=$(cat /sys/block/vda/dev)
namespaces=

# bundle RESOURCES SCRIPT: a bundle whose container is in the cgroup /v2/case.
bundle() {
    # What a test that failed left.
    orca oci delete --force case 2>/dev/null || true
    mkdir -p /tmp/bundle
    [ -e /tmp/bundle/rootfs ] || cp -a /tmp/image /tmp/bundle/rootfs
    mkdir -p /tmp/bundle/rootfs/proc /tmp/bundle/rootfs/sys
    cd /tmp/bundle
    cat >config.json <<JSON
{
    "ociVersion": "1.2.0", "root": {"path": "rootfs"},
    "process": {
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": ["sh", "-c", "$2"]
    },
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}
    ],
    "linux": {
        "cgroupsPath": "${cgroupsPath:-/v2/case}", "resources": $1,
        "namespaces": [
            {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"} $namespaces
        ]
    }
}
JSON
}

# has FILE VALUE: what a file of the case's cgroup says.
has() {
    is "$(cat $case/$1)" "$2"
}

gone() { [ ! -e $case ]; }

every_limit_is_in_its_file() {
    namespaces=', {"type": "pid"}, {"type": "cgroup"}'
    bundle '{
        "memory": {"limit": 67108864, "reservation": 33554432, "swap": 100663296},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "burst": 20000, "cpus": "1", "mems": "0"},
        "pids": {"limit": 44},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "blockIO": {
            "throttleReadBpsDevice": [{"major": '"${disk%:*}"', "minor": '"${disk#*:}"', "rate": 1048576}],
            "throttleWriteIOPSDevice": [{"major": '"${disk%:*}"', "minor": '"${disk#*:}"', "rate": 99}]
        },
        "unified": {"memory.high": "50331648", "io.weight": "default 77", "cpu.weight.nice": "3"}
    }' 'exec sleep 100'
    orca oci create case
    has memory.max 67108864
    has memory.low 33554432
    has memory.swap.max 33554432
    has memory.high 50331648
    has cpu.max "50000 100000"
    has cpu.max.burst 20000
    has cpu.weight.nice 3
    has cpuset.cpus 1
    has cpuset.mems 0
    has pids.max 44
    has hugetlb.2MB.max 4194304
    has hugetlb.2MB.rsvd.max 4194304
    has io.weight "default 77"
    has io.max "$disk rbps=1048576 wbps=max riops=max wiops=99"
    orca oci start case
    orca oci update --memory 83886080 --memory-swap 83886080 --cpu-quota -1 --pids-limit -1 case
    has memory.max 83886080
    has memory.swap.max 0
    has cpu.max "max 100000"
    has pids.max max
    has memory.low 33554432
    echo '{"unified": {"memory.high": "max"}, "cpu": {"shares": 2048}}' | orca oci update -r - case
    has memory.high max
    has cpu.weight 174
    orca oci delete --force case
    gone
}

limits_that_cannot_be_are_refused_and_leave_nothing() {
    for resources in \
        '{"unified": {"memory.no_such": "1"}}' '{"unified": {"nothing.max": "1"}}' \
        '{"unified": {"../cgroup.procs": "1"}}' '{"memory": {"limit": 1, "swap": 0}}' \
        '{"cpu": {"cpus": "77"}}' \
        '{"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}'; do
        bundle "$resources" 'true'
        if orca oci run case 2>/tmp/said; then fail "$resources was taken"; fi
        cat /tmp/said
        gone || fail "$resources left $case"
    done
}

what_only_version_1_has_is_told() {
    bundle '{"memory": {"swappiness": 10, "disableOOMKiller": true}}' 'true'
    orca oci run case 2>/tmp/said
    cat /tmp/said
    grep swappiness /tmp/said
    grep OOM /tmp/said
}

# Nothing of a program runs anywhere else: its first process is made in its cgroup.
the_first_instruction_is_in_the_cgroup() {
    namespaces=
    bundle '{}' 'cat /proc/self/cgroup'
    is "$(orca oci run case)" "0::/v2/case"
    namespaces=', {"type": "cgroup"}'
    bundle '{}' 'cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max; mkdir /sys/fs/cgroup/x || echo kept'
    is "$(orca oci run case 2>/dev/null | tr '\n' ' ')" "0::/ max kept "
}

a_frozen_container_is_killed_whole() {
    # Without a pid namespace only the cgroup knows what belongs together.
    namespaces=
    bundle '{}' 'sleep 96 & sleep 96 & exec sleep 96'
    orca oci create case && orca oci start case
    three() { [ "$(wc -l <$case/cgroup.procs)" = 3 ]; }
    eventually three
    orca oci pause case
    has cgroup.freeze 1
    grep 'frozen 1' $case/cgroup.events
    orca oci state case | grep '"paused"'
    if orca oci exec case true; then fail "a program ran in a frozen container"; fi
    orca oci resume case
    has cgroup.freeze 0
    orca oci exec case sh -c 'cat /proc/self/cgroup' | grep -x 0::/v2/case
    orca oci pause case
    orca oci delete --force case
    gone
    is "$(pids_of 'sleep 96')" ""
}

lack_of_memory_is_an_event() {
    namespaces=', {"type": "pid"}'
    # It may not be killed as a whole: the shell tells of the end of the one that grew.
    bundle '{"memory": {"limit": 25165824, "swap": 25165824}, "unified": {"memory.oom.group": "0"}}' \
        'sleep 3; awk '"'"'BEGIN { s = \"x\"; while (1) s = s s }'"'"'; sleep 100'
    orca oci create case && orca oci start case
    orca oci events --interval 1s case >/tmp/events &
    told() { grep '"type":"oom"' /tmp/events; }
    eventually told
    grep 'oom_kill [1-9]' $case/memory.events
    grep '"type":"stats"' /tmp/events
    orca oci events --stats case | grep '"limit":25165824'
    orca oci delete --force case
    wait
}

the_path_of_systemd_is_the_one_it_would_make() {
    namespaces=
    cgroupsPath=system.slice:orca:case
    bundle '{"pids": {"limit": 33}}' 'exec sleep 95'
    orca oci --systemd-cgroup create case
    is "$(cat /sys/fs/cgroup/system.slice/orca-case.scope/pids.max)" 33
    orca oci --systemd-cgroup delete --force case
    [ ! -e /sys/fs/cgroup/system.slice/orca-case.scope ]
    rmdir /sys/fs/cgroup/system.slice 2>/dev/null || true
    cgroupsPath=
}

check every_limit_is_in_its_file
check limits_that_cannot_be_are_refused_and_leave_nothing
check what_only_version_1_has_is_told
check the_first_instruction_is_in_the_cgroup
check a_frozen_container_is_killed_whole
check lack_of_memory_is_an_event
check the_path_of_systemd_is_the_one_it_would_make
rmdir /sys/fs/cgroup/v2 2>/dev/null || true
