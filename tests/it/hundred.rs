//! A hundred services at once, and nothing of them afterwards.

use super::support::Orca;

#[test]
fn a_hundred_services_come_up_and_go_without_a_leak() {
    let orca = Orca::new();
    let services: String = (0..100)
        .map(|i| format!("  s{i}:\n    image: orca/builtin\n    command: demo sleep\n"))
        .collect();
    orca.up(&format!("name: many\nservices:\n{services}"));
    let containers = orca.ps();
    assert_eq!(containers.len(), 100);
    assert!(containers.iter().all(|container| container["State"] == "running"));
    let addresses: std::collections::BTreeSet<String> =
        containers.iter().map(|container| container["Addresses"].to_string()).collect();
    assert_eq!(addresses.len(), 100, "each has an address of its own");
    orca.ok(&["down", "-f", "stack.yaml"]);
    assert!(orca.ps().is_empty());
    let left = orca.processes();
    assert!(
        left.iter()
            .all(|(_, line)| [" daemon ", " netd ", " launcher "].iter().any(|p| line.contains(p))),
        "{left:#?}"
    );
}
