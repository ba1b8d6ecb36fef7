# Many at once.

twenty_services_come_up_and_go() {
    {
        echo "name: twenty"
        echo "services:"
        for i in $(seq 20); do
            echo "  s$i: {image: orca/builtin, command: demo sleep, mem_limit: 32m, stop_grace_period: 0s}"
        done
    } >/tmp/twenty.yaml
    orca up -f /tmp/twenty.yaml
    is "$(orca -p twenty ps -q | wc -l)" 20
    is "$(cat /sys/fs/cgroup/*/*/memory.max | grep -c -x 33554432)" 20
    orca down -f /tmp/twenty.yaml
}
check twenty_services_come_up_and_go
