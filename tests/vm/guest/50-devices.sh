# The filter of devices is a BPF program in version 2.

# A device that any process may read, by its rights alone.
device=cpu_dma_latency

a_device_that_is_not_allowed_can_be_made_but_not_opened() {
    head -c 4 /dev/$device >/dev/null
    numbers=$(tr ':' ' ' </sys/class/misc/$device/dev)
    orca up -f devices.yaml
    run() { orca -p devices exec -T app "$@"; }
    # The capability is there: the node is made. Opening it is what the filter forbids.
    run mknod /tmp/device c $numbers
    if run head -c 1 /tmp/device >/tmp/said 2>&1; then fail "it could be read"; fi
    grep "Operation not permitted" /tmp/said
    run mknod /tmp/null c 1 3
    run sh -c 'echo gone >/tmp/null; echo gone >/dev/null; head -c 1 /dev/urandom >/dev/null'
}

a_device_that_is_granted_can_be_used_as_granted() {
    run() { orca -p devices exec -T granted "$@"; }
    run head -c 4 /dev/$device >/dev/null
    if run sh -c "exec 3>/dev/$device" >/tmp/said 2>&1; then fail "it could be written"; fi
    grep "Operation not permitted" /tmp/said
}

a_privileged_container_may_use_all_devices() {
    numbers=$(tr ':' ' ' </sys/class/misc/$device/dev)
    orca -p devices exec -T open sh -c "mknod /tmp/device c $numbers && exec 3<>/tmp/device"
    orca down -f devices.yaml
}

check a_device_that_is_not_allowed_can_be_made_but_not_opened
check a_device_that_is_granted_can_be_used_as_granted
check a_privileged_container_may_use_all_devices
