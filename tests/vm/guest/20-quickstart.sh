# The first command of the README.

the_quick_start_answers_on_its_port_through_a_service_name() {
    orca up -f quickstart.yaml
    for address in 127.0.0.1 10.0.2.15; do
        get "http://$address:8080/" >/tmp/answer
        grep "hello from web" /tmp/answer
        grep "hello from api" /tmp/answer
    done
    is "$(field quickstart quickstart-web-1 Health)" healthy
    orca down -f quickstart.yaml
    is "$(orca ls -q)" ""
}
check the_quick_start_answers_on_its_port_through_a_service_name
