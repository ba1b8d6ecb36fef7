# What the tests of the virtual machine share.

# check NAME: runs the function NAME. Its trace is only shown when it fails.
check() {
    began=$(cut -d. -f1 /proc/uptime)
    (
        set -eux
        "$1"
    ) >/tmp/trace 2>&1
    code=$?
    took=$(($(cut -d. -f1 /proc/uptime) - began))
    if [ $code = 0 ]; then
        echo "PASS $1 (${took}s)"
        return
    fi
    tail -n 40 /tmp/trace | sed 's/^/  | /'
    echo "  the end of the daemon's log:"
    tail -n 20 /run/orca/daemon.log 2>/dev/null | cut -c 1-300 | sed 's/^/  | /'
    why=$(sed -n 's/^why: //p' /tmp/trace | tail -n 1)
    echo "FAIL $1: ${why:-$(tail -n 1 /tmp/trace)} (status $code, ${took}s)"
}

# suite PROGRAM WORD...: runs a test program of the repository with these words (names of tests and
# options of its harness), and says PASS or FAIL for each test that ran.
suite() {
    program=$1
    shift
    RUST_TEST_THREADS=2 "/disk/programs/$program" "$@" >/tmp/suite 2>&1
    code=$?
    sed -n "s/^test \(.*\) \.\.\. ok$/PASS $program \1/p; s/^test \(.*\) \.\.\. FAILED$/FAIL $program \1/p" \
        /tmp/suite
    sed -n 's/^test result: .* finished/  finished/p' /tmp/suite
    [ $code != 0 ] || return 0
    grep -q '^test .* FAILED$' /tmp/suite || echo "FAIL $program: status $code"
    grep -v '^test .* ok$' /tmp/suite | sed 's/^/  | /'
}

# fail WHY...: ends a test.
fail() {
    echo "why: $*"
    exit 1
}

# eventually COMMAND...: until it succeeds, for 20 seconds at most.
eventually() {
    deadline=$(($(cut -d. -f1 /proc/uptime) + 20))
    until "$@"; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt $deadline ] || fail "never came true: $*"
        sleep 0.2
    done
}

# pids_of COMMAND: the processes with this command line.
pids_of() {
    ps -o pid,args | sed -n "s|^ *\([0-9]*\) $1\$|\1|p"
}

# get URL
get() {
    orca demo fetch "$1"
}

# is WORD EXPECTED
is() {
    [ "$1" = "$2" ] || fail "found '$1', expected '$2'"
}

# field STACK CONTAINER KEY: what `ps` says of a container, without quotes.
field() {
    orca -p "$1" ps -a --format json | grep "\"Name\":\"$2\"" | sed -n "s/.*\"$3\":\"\{0,1\}\([^,\"}]*\).*/\1/p"
}

# is_field STACK CONTAINER KEY VALUE
is_field() {
    [ "$(field "$1" "$2" "$3")" = "$4" ]
}

# cgroup STACK CONTAINER: the directory of a running container's cgroup.
cgroup() {
    echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(field "$1" "$2" Pid)/cgroup")"
}

# What was there before orca, and the image of the tests: busybox.
prepare() {
    ls /sys/class/net >/tmp/links
    mkdir -p /tmp/image/bin /tmp/image/etc /tmp/image/tmp
    cp /bin/busybox /tmp/image/bin
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "/tmp/image/bin/$applet"
    done
    cp /etc/passwd /tmp/image/etc
    tar -C /tmp/image -cf /tmp/busybox.tar .
    orca image import /tmp/busybox.tar busybox >/dev/null || echo "FAIL prepare: no image"
}
