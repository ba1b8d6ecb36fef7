# The first command of the README.

the_quick_start_answers_on_its_port_through_a_service_name() {
    orca up -f quickstart.yaml
    for address in 127.0.0.1 10.0.2.15; do
        get "http://$address:8080/" >/tmp/answer
        grep "hello from web" /tmp/answer
        grep "hello from api" /tmp/answer
    done
    is "$(field quickstart quickstart-web-1 Health)" healthy
    # Its users are its own, though orca's files of a boot are on a file system that cannot be seen through
    # others on this kernel.
    is "$(field quickstart quickstart-web-1 HostUsers)" null
    is "$(tr -s ' ' <"/proc/$(field quickstart quickstart-web-1 Pid)/uid_map")" " 0 805306368 65536"
    orca down -f quickstart.yaml
    is "$(orca ls -q)" ""
}
check the_quick_start_answers_on_its_port_through_a_service_name
