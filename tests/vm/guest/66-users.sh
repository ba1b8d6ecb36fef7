# Users of the host that are set aside for orca.

stacks_have_the_users_that_are_set_aside_and_no_others() {
    export ORCA_ROOT=/var/lib/orca-users ORCA_RUN=/run/orca-users
    printf 'me:100000:65536\norca:100000:196608\n' >/etc/subuid
    echo orca:100000:196608 >/etc/subgid
    orca image import /tmp/busybox.tar busybox
    for name in one two three; do
        echo "{name: $name, services: {app: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}}" \
            >/tmp/$name.yaml
    done
    orca up -f /tmp/one.yaml
    orca up -f /tmp/two.yaml
    map() { tr -s ' ' <"/proc/$(field "$1" "$1-app-1" Pid)/uid_map"; }
    # Not those that are somebody else's too.
    is "$(map one)" " 0 165536 65536"
    is "$(map two)" " 0 231072 65536"
    if orca up -f /tmp/three.yaml 2>/tmp/said; then fail "a third stack found users"; fi
    grep 'three/app: no 65536 users of the host are free' /tmp/said
    orca down -f /tmp/one.yaml
    orca up -f /tmp/three.yaml
    is "$(map three)" " 0 165536 65536"
    sed 's/image:/privileged: true, image:/' /tmp/one.yaml >/tmp/host.yaml
    orca up -f /tmp/host.yaml
    is "$(field one one-app-1 HostUsers)" "it is privileged"
    orca system stop --containers
    echo orca:1:1 >/etc/subuid
    if orca up -f /tmp/one.yaml 2>/tmp/said; then fail "numbers that cannot be used were"; fi
    cat /tmp/said
    rm -rf /etc/subuid /etc/subgid "$ORCA_ROOT" "$ORCA_RUN"
}
check stacks_have_the_users_that_are_set_aside_and_no_others
