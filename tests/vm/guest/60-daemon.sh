# A killed daemon.

containers_outlive_the_daemon_and_are_found_again() {
    orca up -f quickstart.yaml
    web=$(field quickstart quickstart-web-1 Pid)
    cgroup=$(cgroup quickstart quickstart-web-1)
    kill -9 "$(pids_of '/proc/self/exe daemon .*')"
    get http://127.0.0.1:8080/ | grep "hello from api"
    orca up -f quickstart.yaml
    is "$(field quickstart quickstart-web-1 Pid)" "$web"
    is "$(cgroup quickstart quickstart-web-1)" "$cgroup"
    orca down -f quickstart.yaml
    [ ! -e "$cgroup" ] || fail "$cgroup is still there"
}
check containers_outlive_the_daemon_and_are_found_again
