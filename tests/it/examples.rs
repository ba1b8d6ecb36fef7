//! The stack files that people are shown do what they say.

use super::support::{Orca, curl, eventually, free_port, repository};

/// Brings an example up with its host port replaced by a free one.
fn up(orca: &Orca, name: &str, published: &str) -> u16 {
    let path = repository().join("examples").join(name).join("stack.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let port = free_port();
    let (_, target) = published.split_once(':').unwrap();
    assert!(text.contains(published), "{name} publishes {published}");
    orca.up(&text.replace(published, &format!("{port}:{target}")));
    port
}

#[test]
fn the_shop_counts_and_keeps_its_count() {
    let orca = Orca::new();
    let port = up(&orca, "shop", "8081:80");
    let visit = || curl(&format!("http://127.0.0.1:{port}/"));
    let first = eventually("the shop answers", visit);
    orca.ok(&["down", "-f", "stack.yaml"]);
    orca.ok(&["up", "-f", "stack.yaml"]);
    let second = eventually("the shop answers again", visit);
    assert_ne!(first, second, "the count went on");
    let setup = orca.container("shop-setup-1");
    assert_eq!((setup["State"].as_str(), setup["ExitCode"].as_i64()), (Some("exited"), Some(0)));
}

#[test]
fn every_stack_file_in_the_repository_is_accepted() {
    let orca = Orca::new();
    let mut found = 0;
    for folder in ["compose", "examples"] {
        for entry in walk(&repository().join(folder)) {
            let path = entry.to_str().unwrap();
            orca.ok(&["config", "-q", "-f", path]);
            found += 1;
        }
    }
    assert!(found >= 6, "found only {found}");
}

fn walk(path: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
    found
}
