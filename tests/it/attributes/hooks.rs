//! Programs around the start and the end of a container, and what waits for what.

use super::super::support::{Orca, eventually};
use super::end;

#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    let orca = Orca::new().with_busybox();
    orca.up(
        r#"name: hooks
services:
  a:
    image: busybox
    command: sleep 1000
    user: app
    init: true
    volumes: [".:/out"]
    post_start:
      - {command: "sh -c 'sleep 0.5; echo $$WORD $$(id -u) $$(pwd) > /out/started'", user: root, working_dir: /tmp, environment: {WORD: hello}}
      - {command: [cp, /out/started, /out/second], user: root}
    pre_stop:
      - {command: [sh, -c, "test -e /proc/2 && id -u > /out/stopping"], user: root}
"#,
    );
    let read = |name: &str| std::fs::read_to_string(orca.files().join(name)).unwrap_or_default();
    assert_eq!(read("second"), "hello 0 /tmp\n", "`up` waits for the hooks");
    assert_eq!(read("stopping"), "");
    orca.ok(&["stop", "-f", "stack.yaml"]);
    assert_eq!(read("stopping"), "0\n");
}

#[test]
fn a_hook_that_fails_ends_its_container_with_the_reason() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        r#"name: hooks
services:
  a:
    image: busybox
    command: sleep 1000
    restart: "no"
    post_start: [{command: "sh -c 'echo broken >&2; exit 3'"}]
"#,
    );
    orca.run(&["up", "-f", "stack.yaml"]).expect(1).says("post_start").says("broken");
    assert_eq!(end(&orca, "hooks-a-1")["ExitCode"], 125);
}

#[test]
fn dependencies_may_be_absent_and_restarts_reach_dependents() {
    let orca = Orca::new().with_busybox();
    let stack = |word: &str| {
        format!(
            r#"name: deps
services:
  base: {{image: busybox, command: sleep 1000, init: true, environment: {{WORD: {word}}}}}
  user:
    image: busybox
    command: sleep 1000
    init: true
    depends_on:
      base: {{condition: service_started, restart: true}}
      absent: {{condition: service_started, required: false}}
  absent: {{image: busybox, command: sleep 1000, profiles: [never]}}
"#
        )
    };
    orca.up(&stack("one"));
    let before = orca.pid("deps-user-1");
    orca.up(&stack("two"));
    eventually("the dependent was restarted", || (orca.pid("deps-user-1") != before).then_some(()));
    assert_eq!(orca.ps().len(), 2, "what is off is not there");
}
