//! Verbs about a whole stack that scripts written for docker compose use.

use super::support::Orca;

const STACK: &str = "name: verbs
services:
  one:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
  two:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
  once:
    image: busybox
    command: 'true'
    restart: 'no'
";

/// The services that have a container, running or ended.
fn here(orca: &Orca) -> Vec<String> {
    let service = |c: &serde_json::Value| c["Service"].as_str().unwrap().to_owned();
    let mut services: Vec<String> = orca.ps().iter().map(service).collect();
    services.sort();
    services
}

#[test]
fn create_prepares_what_start_then_starts() {
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", STACK);
    let said = orca.ok(&["create", "-f", "stack.yaml"]);
    assert!(said.contains("verbs is prepared"), "{said}");
    assert!(here(&orca).is_empty(), "nothing runs");
    orca.ok(&["-f", "stack.yaml", "start", "one"]);
    assert_eq!(here(&orca), ["one"]);
    // What runs goes on, what is stopped stays so.
    orca.ok(&["up", "--no-start", "-f", "stack.yaml"]);
    assert_eq!(here(&orca), ["one"]);
    orca.ok(&["up", "-f", "stack.yaml"]);
    assert!(here(&orca).contains(&"two".to_owned()));
}

#[test]
fn rm_takes_what_has_ended_and_leaves_what_runs() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    orca.ok(&["-p", "verbs", "stop", "two"]);
    assert_eq!(here(&orca), ["once", "one", "two"]);
    orca.ok(&["-p", "verbs", "rm", "-f"]);
    assert_eq!(here(&orca), ["one"]);
    orca.ok(&["-p", "verbs", "rm", "-f", "one"]);
    assert_eq!(here(&orca), ["one"], "it runs");
    orca.ok(&["-p", "verbs", "rm", "-fs", "one"]);
    assert!(here(&orca).is_empty());
    orca.ok(&["-f", "stack.yaml", "up"]);
    assert_eq!(here(&orca), ["once", "one", "two"]);
    orca.run(&["-p", "verbs", "rm", "thre"]).expect(2).says("the services are: once, one, two");
}

#[test]
fn down_of_one_service_leaves_the_others() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    orca.ok(&["-p", "verbs", "down", "one"]);
    assert_eq!(here(&orca), ["once", "two"]);
}

#[test]
fn down_can_take_images_along() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    orca.ok(&["-p", "verbs", "down", "--rmi", "all"]);
    let images = orca.ok(&["image", "ls"]);
    assert!(!images.contains("busybox"), "{images}");
}

#[test]
fn build_is_refused_with_what_to_do() {
    let orca = Orca::new();
    orca.write("stack.yaml", STACK);
    for verb in ["up", "create"] {
        orca.run(&[verb, "--build", "-f", "stack.yaml"]).expect(2).says("orca image load");
    }
}
