//! The README's first command: nothing is installed, nothing is pulled.

use super::support::{Orca, curl, free_port, repository};

fn quickstart(port: u16) -> String {
    let text =
        std::fs::read_to_string(repository().join("examples/quickstart/stack.yaml")).unwrap();
    text.replace("8080:80", &format!("{port}:80"))
}

#[test]
fn the_quick_start_answers_on_its_port_through_a_service_name() {
    let orca = Orca::new();
    let port = free_port();
    let printed = orca.up(&quickstart(port));
    assert!(printed.contains("web"), "{printed}");

    let answer = curl(&format!("http://127.0.0.1:{port}/")).expect("the port answers");
    assert!(answer.contains("hello from web"), "{answer}");
    assert!(answer.contains("hello from api"), "found by its name: {answer}");

    let web = orca.container("quickstart-web-1");
    assert_eq!(web["State"], "running");
    assert_eq!(web["Health"], "healthy");
    orca.ok(&["down", "-f", "stack.yaml"]);
    assert!(curl(&format!("http://127.0.0.1:{port}/")).is_none(), "the port is closed");
}

#[test]
fn the_port_answers_on_every_address_of_the_host_and_to_containers() {
    let orca = Orca::new();
    let port = free_port();
    orca.up(&quickstart(port));
    assert!(curl(&format!("http://localhost:{port}/")).is_some());
    assert!(curl(&format!("http://[::1]:{port}/")).is_some(), "over IPv6 too");
    let gateway = "http://host.test:PORT/".replace("PORT", &port.to_string());
    // From inside a container, the host's own address leads there as well.
    let addresses = super::support::host("ip", &["-4", "-o", "addr", "show", "scope", "global"]);
    let addresses = String::from_utf8(addresses.stdout).unwrap();
    let own = addresses.split_whitespace().find_map(|word| word.split_once('/')).map(|(ip, _)| ip);
    let url = gateway.replace("host.test", own.expect("a bridge at least has an address"));
    orca.ok(&["exec", "-T", "-f", "stack.yaml", "api", "/bin/orca", "demo", "fetch", &url]);
}

#[test]
fn down_leaves_nothing_in_the_kernel_and_the_next_up_makes_it_anew() {
    let orca = Orca::new();
    let directory = orca.root().parent().unwrap().to_owned();
    for _ in 0..2 {
        orca.up(&quickstart(free_port()));
        orca.ok(&["down", "-f", "stack.yaml"]);
        let left = super::support::leaks::Leaks::of_kernel(&directory, super::support::PATIENCE);
        assert!(left.is_empty(), "left behind by down:\n{left}");
    }
    assert_eq!(orca.ok(&["ls", "-q"]).trim(), "");
    orca.ok(&["system", "stop"]);
    let left = super::support::leaks::Leaks::wait_for_none(&directory, super::support::PATIENCE);
    assert!(left.is_empty(), "left behind by system stop:\n{left}");
}
