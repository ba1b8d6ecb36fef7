//! Who the program is, what it is told and where it starts.

use super::super::support::{Orca, eventually};
use super::{check, inside};

#[test]
fn the_program_has_its_words_variables_user_and_directory() {
    let orca = Orca::new().with_busybox();
    orca.write("one.env", "FROM_FILE=1\nQUOTED=\"a b\"\nBOTH=file\n");
    orca.up(r#"name: who
x-long: &long {image: busybox, init: true}
services:
  named:
    <<: *long
    command: sleep 1000
    user: app
    group_add: ["77"]
    working_dir: /made/here
    environment: {PLAIN: "x y", BOTH: stack}
    env_file: [one.env, {path: none.env, required: false}]
  numbers:
    <<: *long
    entrypoint: sh -c
    command: ["sleep 1000"]
    user: "1234:4321"
  words:
    image: busybox
    entrypoint: [sh, -c]
    command: ['echo "$$0" "$$1"; exec sleep 1000', "one two", "$$three"]
  terminal: {image: busybox, tty: true, command: "sh -c 'tty; exec sleep 1000'"}
  reader: {image: busybox, stdin_open: true, command: cat}
"#);
    check(
        &orca,
        "named",
        &[
            (
                "id -u; id -g; id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '",
                "1000\n1000\n77 1000 2000",
            ),
            ("pwd", "/made/here"),
            ("echo $PLAIN,$BOTH,$FROM_FILE,$QUOTED", "x y,stack,1,a b"),
            ("tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f1", "orca"),
            ("tr '\\0' ' ' < /proc/2/cmdline", "sleep 1000"),
        ],
    );
    check(&orca, "numbers", &[("id -u; id -g", "1234\n4321")]);
    assert_eq!(
        inside(&orca, "reader", "tr '\\0' ' ' < /proc/1/cmdline"),
        "cat",
        "it waits for input"
    );
    let logs = orca.ok(&["--file", "stack.yaml", "logs", "--no-color"]);
    assert!(logs.contains("| one two $three"), "{logs}");
    assert!(logs.contains("| /dev/pts/0"), "{logs}");
}

#[test]
fn who_is_not_in_the_image_is_named() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        r#"name: nobody
x-base: &base {image: busybox, command: id, restart: "no"}
services:
  user: {<<: *base, user: nosuchuser}
  group: {<<: *base, user: "app:nosuchgroup"}
  more: {<<: *base, group_add: [nosuchmore]}
"#,
    );
    orca.run(&["up", "-f", "stack.yaml"]).expect(1).says("nosuch");
    // `up` ends at the first failure; the others follow.
    for (service, word) in
        [("user", "nosuchuser"), ("group", "nosuchgroup"), ("more", "nosuchmore")]
    {
        eventually(word, || {
            let container = orca.container(&format!("nobody-{service}-1"));
            container["Reason"].as_str().filter(|reason| reason.contains(word)).map(drop)
        });
    }
}

/// The files that orca makes for a container are its root's, as in Docker.
#[test]
fn root_may_write_the_files_that_come_from_orca() {
    let orca = Orca::new().with_busybox();
    let stack = r#"name: own
services:
  a: {image: busybox, command: sleep 1000}
  b: {image: busybox, command: sleep 1000, userns_mode: host}
"#;
    orca.write("stack.yaml", stack);
    let plan = orca.ok(&["plan", "-f", "stack.yaml"]);
    let told: Vec<_> = plan.lines().filter(|line| line.contains("users of the host")).collect();
    assert_eq!(told.len(), 1, "{plan}");
    assert!(told[0].contains("own-b-1") && told[0].contains("userns_mode is host"), "{plan}");
    orca.up(stack);
    for service in ["a", "b"] {
        let owners = "stat -c '%u:%g %a' /etc/hosts /etc/resolv.conf /etc/hostname | sort -u";
        let write = "echo '1.2.3.4 further' >> /etc/hosts && grep further /etc/hosts";
        check(&orca, service, &[(owners, "0:0 644"), (write, "1.2.3.4 further")]);
    }
    assert_eq!(orca.container("own-a-1")["HostUsers"], serde_json::Value::Null);
    assert_eq!(orca.container("own-b-1")["HostUsers"], "userns_mode is host");
    let said = orca.ok(&["check", "-f", "stack.yaml"]);
    let note = "services.b: its containers have the users of the host: userns_mode is host";
    assert!(said.contains(note) && said.contains("stack.yaml:4:44: "), "{said}");
    assert!(!said.contains("services.a: its"), "{said}");
}
