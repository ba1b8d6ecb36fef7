# Runs as a unit in the virtual machine.
export PATH=/usr/bin:/usr/sbin HOME=/root
cd /tests
. ./support.sh

show() {
    systemctl status --no-pager -l orca.service || true
    busybox find /sys/fs/cgroup/system.slice/orca.service -name cgroup.procs
    journalctl --no-pager -n 30 || true
}

containers_outlive_a_restart_of_the_unit() {
    trap show EXIT
    systemctl restart orca.service
    systemctl is-active orca.service
    orca up -f quickstart.yaml
    web=$(field quickstart quickstart-web-1 Pid)
    for round in 1 2; do
        systemctl restart orca.service
        is "$(systemctl is-active orca.service)" active
        is "$(field quickstart quickstart-web-1 Pid)" "$web"
        get http://127.0.0.1:8080/ | grep "hello from api"
    done
    systemctl stop orca.service
    get http://127.0.0.1:8080/ | grep "hello from api"
    systemctl start orca.service
    is "$(field quickstart quickstart-web-1 Pid)" "$web"
    orca down -f quickstart.yaml
    trap - EXIT
}
check containers_outlive_a_restart_of_the_unit
echo DONE
systemctl poweroff --force --force
