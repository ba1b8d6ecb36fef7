//! What a container's program may do.

use super::super::support::Orca;
use super::check;

const EFFECTIVE: &str = "grep CapEff /proc/self/status | cut -f2";
const FILTER: &str = "grep Seccomp: /proc/self/status | cut -f2";
const NO_NEW: &str = "grep NoNewPrivs /proc/self/status | cut -f2";

#[test]
fn rights_are_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.up(r#"name: rights
x-base: &base {image: busybox, command: sleep 1000}
services:
  plain: {<<: *base}
  changed: {<<: *base, cap_add: [NET_ADMIN], cap_drop: [CAP_CHOWN]}
  none: {<<: *base, cap_drop: [ALL]}
  all: {<<: *base, privileged: true}
  nonew: {<<: *base, security_opt: ["no-new-privileges:true"]}
  open: {<<: *base, security_opt: [seccomp=unconfined]}
  device: {<<: *base, devices: ["/dev/null:/dev/mine:r"]}
"#);
    check(
        &orca,
        "plain",
        &[
            (EFFECTIVE, "00000000a80425fb"),
            (FILTER, "2"),
            ("ls /dev/kmsg 2>/dev/null || echo no", "no"),
        ],
    );
    check(
        &orca,
        "changed",
        &[
            (EFFECTIVE, "00000000a80435fa"),
            (
                "ip link add d0 type dummy 2>/dev/null; touch /tmp/f; chown 7 /tmp/f 2>/dev/null || echo no",
                "no",
            ),
        ],
    );
    check(&orca, "none", &[(EFFECTIVE, "0000000000000000")]);
    check(&orca, "all", &[(FILTER, "0"), ("test -e /dev/kmsg && echo yes", "yes")]);
    check(&orca, "nonew", &[(NO_NEW, "1")]);
    check(&orca, "open", &[(FILTER, "0")]);
    check(
        &orca,
        "device",
        &[("cat /dev/mine && echo read", "read"), ("ls -l /dev/mine | cut -c1", "c")],
    );
}

#[test]
fn what_cannot_be_given_is_told_with_its_name() {
    let orca = Orca::new().with_busybox();
    for (line, word) in [
        ("cap_add: [NOPE]", "NOPE"),
        ("devices: [/dev/nowhere]", "/dev/nowhere"),
        ("sysctls: {kernel.panic: '1'}", "kernel.panic"),
        ("ulimits: {nope: 1}", "nope"),
        ("security_opt: [foo=bar]", "foo=bar"),
    ] {
        let stack = format!(
            "name: rights\nservices:\n  a:\n    image: busybox\n    command: id\n    restart: 'no'\n    {line}\n"
        );
        orca.write("stack.yaml", &stack);
        orca.run(&["up", "-f", "stack.yaml"]).expect(1).says(word);
    }
}
