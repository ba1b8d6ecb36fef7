//! Mistakes are told clearly, with their place, and leave nothing half made.

use super::support::{Orca, free_port};

#[track_caller]
fn check(orca: &Orca, stack: &str, code: i32, expected: &[&str]) {
    orca.write("stack.yaml", stack);
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(code);
    for text in expected {
        assert!(ran.stderr.contains(text), "no {text:?} in:\n{}", ran.stderr);
    }
}

#[test]
fn mistakes_in_the_file_have_a_place_and_a_hint() {
    let orca = Orca::new();
    check(&orca, "services:\n  web:\n   image: x\n  - y\n", 2, &["stack.yaml:", "error"]);
    check(
        &orca,
        "name: a\nservices:\n  web:\n    image: busybox\n    enviroment: {A: b}\n",
        2,
        &["stack.yaml:5:5", "services.web", "\"enviroment\"", "`environment`"],
    );
    check(
        &orca,
        "name: a\nservices:\n  web:\n    image: ${IMAGE:?set it please}\n",
        2,
        &["stack.yaml:4:12", "IMAGE", "set it please"],
    );
    check(
        &orca,
        "name: a\nservices:\n  web:\n    image: busybox\n    networks: [nowhere]\n",
        2,
        &["stack.yaml:5", "nowhere"],
    );
    check(
        &orca,
        "name: a\nservices:\n  web:\n    image: busybox\n    volumes: ['data:/data']\n",
        2,
        &["stack.yaml:5", "data"],
    );
    check(
        &orca,
        "name: a\nservices:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
        2,
        &["stack.yaml:", "a", "b"],
    );
    orca.run(&["up", "-f", "missing.yaml"]).expect(2).says("missing.yaml");
    orca.run(&["up", "-f", "."]).expect(2).says("directory");
    assert!(orca.processes().is_empty(), "a wrong file starts no daemon");
}

#[test]
fn a_missing_image_is_named_with_what_to_do() {
    let orca = Orca::new();
    check(
        &orca,
        "name: a\nservices:\n  web:\n    image: no-such-image:1\n",
        1,
        &["no-such-image:1", "web", "orca image"],
    );
    assert_eq!(orca.ok(&["ls", "-q"]).trim(), "", "nothing is half made");
}

#[test]
fn a_taken_port_names_who_has_it() {
    let orca = Orca::new();
    let port = free_port();
    let _holder = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    check(
        &orca,
        &format!(
            "name: a\nservices:\n  web:\n    image: orca/builtin\n    command: demo sleep\n    ports: ['{port}:80']\n"
        ),
        1,
        &[&port.to_string(), &format!("pid {}", std::process::id())],
    );
    assert_eq!(orca.ok(&["ls", "-q"]).trim(), "", "nothing is half made");
}

#[test]
fn wrong_usage_is_status_2() {
    let orca = Orca::new();
    orca.run(&["up", "--no-such-flag"]).expect(2).says("--no-such-flag");
    orca.run(&["no-such-verb"]).expect(2);
    orca.run(&["scale", "-f", "x.yaml", "web=many"]).expect(2);
}

#[test]
fn a_program_that_is_not_in_the_image_is_named() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        "name: a\nservices:\n  web:\n    image: busybox\n    command: no-such-program\n",
    );
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!((ran.stdout + &ran.stderr).contains("no-such-program"));
}

#[test]
fn not_root_is_told_what_to_do() {
    let orca = Orca::new();
    orca.write("stack.yaml", "name: a\nservices:\n  web:\n    image: orca/builtin\n");
    // The build directory need not be readable for others, so the program is copied.
    let copy = orca.files().join("orca");
    // By another process: a file that this one holds open for writing, even for a moment, cannot be run
    // while a test in another thread starts a program.
    let copied = super::support::host("cp", &[env!("CARGO_BIN_EXE_orca"), copy.to_str().unwrap()]);
    assert!(copied.status.success());
    let set = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    set(&copy);
    set(&orca.files());
    set(orca.files().parent().unwrap());
    use std::os::unix::process::CommandExt as _;
    let output = std::process::Command::new(&copy)
        .args(["up", "-f", "stack.yaml"])
        .current_dir(orca.files())
        .env("ORCA_ROOT", orca.root())
        .env("ORCA_RUN", orca.run_dir())
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("root") && said.contains("sudo"), "{said}");
}
