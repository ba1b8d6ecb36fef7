//! What orca does not do is told with its place: nothing is passed over in silence.

use super::super::support::Orca;

#[test]
fn what_is_not_done_and_matters_is_refused() {
    let orca = Orca::new();
    for (line, word) in [
        ("storage_opt: {colour: red}", "storage_opt"),
        ("runtime: runsc", "runtime"),
        ("userns_mode: keep-id", "userns_mode"),
        ("use_api_socket: true", "use_api_socket"),
        ("external_links: [b]", "external_links"),
        ("volumes_from: ['container:b']", "volumes_from[0]"),
        ("pre_start: [{command: id}]", "pre_start"),
        ("stop_signal: SIGNOPE", "stop_signal"),
        ("networks: {default: {link_local_ips: [169.254.1.1]}}", "link_local_ips"),
        ("deploy: {replicas: 2, placement: {max_replicas_per_node: 1}}", "max_replicas_per_node"),
    ] {
        let stack = format!("name: a\nservices:\n  web:\n    image: busybox\n    {line}\n");
        orca.write("stack.yaml", &stack);
        orca.run(&["up", "-f", "stack.yaml"]).expect(2).says("stack.yaml:5:").says(word);
    }
    assert!(orca.processes().is_empty(), "no daemon was started for them");
}

#[test]
fn what_is_not_done_and_does_not_matter_is_a_warning() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        r#"name: a
services:
  web:
    image: busybox
    command: sleep 1000
    cpu_count: 1
    logging: {driver: syslog}
    deploy: {update_config: {order: start-first, delay: 1s}, rollback_config: {parallelism: 1}}
    x-orca: {drain: 1s}
"#,
    );
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(0);
    for place in [
        ":6:5: services.web.cpu_count",
        "services.web.logging.driver",
        "services.web.deploy.update_config.order",
        "services.web.deploy.update_config.delay",
        "services.web.deploy.rollback_config",
        "services.web.x-orca.drain",
    ] {
        assert!(ran.stderr.contains(place), "no {place} in:\n{}", ran.stderr);
    }
}
