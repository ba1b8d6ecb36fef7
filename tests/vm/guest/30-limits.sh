# Limits are in the files of version 2, and hold.

limits_are_written_to_the_containers_own_cgroup() {
    orca up -f limits.yaml
    cgroup=$(cgroup limits limits-app-1)
    is "$(cat "$cgroup/memory.max")" 67108864
    is "$(cat "$cgroup/memory.low")" 33554432
    is "$(cat "$cgroup/memory.oom.group")" 1
    is "$(cat "$cgroup/cpu.max")" "50000 100000"
    is "$(cat "$cgroup/cpuset.cpus")" 0
    is "$(cat "$cgroup/pids.max")" 20
    [ "$(cat "$cgroup/cpu.weight")" -lt 100 ] || fail "the weight is $(cat "$cgroup/cpu.weight")"
    # Its processes are in it from their first instruction, and nothing else is.
    [ "$(wc -l <"$cgroup/cgroup.procs")" -ge 2 ]
}

a_container_sees_its_own_cgroup_as_the_root() {
    is "$(orca -p limits logs --no-log-prefix app | head -n 1)" "0::/"
    run() { orca -p limits exec -T app "$@"; }
    is "$(run cat /proc/self/cgroup)" "0::/"
    is "$(run cat /sys/fs/cgroup/memory.max)" 67108864
    if run mkdir /sys/fs/cgroup/mine; then fail "the cgroups are not read-only"; fi
}

a_program_run_in_a_container_is_in_its_cgroup() {
    orca -p limits exec -T app sleep 77 &
    runs() { [ "$(pids_of 'sleep 77')" ]; }
    eventually runs
    cgroup=$(cgroup limits limits-app-1)
    grep -x "$(pids_of 'sleep 77')" "$cgroup/cgroup.procs"
    kill "$(pids_of 'sleep 77')"
    wait
}

more_processes_than_the_limit_cannot_be_started() {
    orca -p limits exec -T app sh -c 'for i in $(seq 40); do sleep 5 & done; wait' >/tmp/many 2>&1 || true
    grep -i "can't fork" /tmp/many
    cgroup=$(cgroup limits limits-app-1)
    grep 'max [1-9]' "$cgroup/pids.events"
    [ "$(cat "$cgroup/pids.current")" -le 20 ]
}

stats_are_those_of_the_cgroup() {
    orca -p limits stats --no-stream --format json >/tmp/stats
    cat /tmp/stats
    grep limits-app-1 /tmp/stats
    grep -E '"PIDs":"[1-9]' /tmp/stats
    grep -E '/ 64(.0)?MiB' /tmp/stats
}

a_paused_container_is_frozen_until_it_is_thawed() {
    cgroup=$(cgroup limits limits-app-1)
    orca -p limits pause app
    is "$(cat "$cgroup/cgroup.freeze")" 1
    grep 'frozen 1' "$cgroup/cgroup.events"
    is "$(field limits limits-app-1 State)" paused
    orca -p limits unpause app
    is "$(cat "$cgroup/cgroup.freeze")" 0
    eventually is_field limits limits-app-1 State running
    # A frozen container can be taken down.
    orca -p limits pause app
    orca down -f limits.yaml
    [ ! -e "$cgroup" ] || fail "$cgroup is still there"
}

check limits_are_written_to_the_containers_own_cgroup
check a_container_sees_its_own_cgroup_as_the_root
check a_program_run_in_a_container_is_in_its_cgroup
check more_processes_than_the_limit_cannot_be_started
check stats_are_those_of_the_cgroup
check a_paused_container_is_frozen_until_it_is_thawed
