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

/// A description that is there for as long as the test.
struct Described(std::path::PathBuf);

impl Drop for Described {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
        // Only if nobody else has anything there.
        drop(std::fs::remove_dir("/var/run/cdi"));
    }
}

#[test]
fn devices_come_by_the_names_that_their_vendors_gave_them() {
    let orca = Orca::new().with_busybox();
    let vendor = format!("test-{}.example", std::process::id());
    let described = Described(format!("/var/run/cdi/{vendor}.yaml").into());
    std::fs::create_dir_all("/var/run/cdi").unwrap();
    let library = orca.write("library/file", "of the vendor\n");
    let text = format!(
        "cdiVersion: 0.6.0\nkind: {vendor}/gpu\ncontainerEdits: {{env: [VENDOR=yes]}}\n\
         devices:\n- name: '0'\n  containerEdits:\n    \
         deviceNodes: [{{path: /dev/gpu0, hostPath: /dev/zero}}]\n    \
         mounts: [{{hostPath: {}, containerPath: /usr/lib/vendor, options: [ro, rbind, nosuid]}}]\n\
         - name: '1'\n  containerEdits: {{deviceNodes: [{{path: /dev/gpu1, hostPath: /dev/full}}]}}\n",
        library.parent().unwrap().display()
    );
    std::fs::write(&described.0, text).unwrap();
    orca.up(&format!(
        "name: cdi
x-base: &base {{image: busybox, command: sleep 1000}}
services:
  named: {{<<: *base, devices: [{vendor}/gpu=0]}}
  some: {{<<: *base, gpus: [{{driver: {vendor}/gpu, count: 1}}]}}
  every: {{<<: *base, gpus: [{{driver: {vendor}/gpu}}]}}
  reserved:
    <<: *base
    deploy: {{resources: {{reservations: {{devices: [{{driver: cdi, capabilities: [gpu], device_ids: [{vendor}/gpu=1]}}]}}}}}}
"
    ));
    let devices = "ls /dev | grep -c gpu; echo $VENDOR";
    check(
        &orca,
        "named",
        &[
            (devices, "1\nyes"),
            ("head -c 3 /dev/gpu0 | wc -c; cat /usr/lib/vendor/file", "3\nof the vendor"),
            ("touch /usr/lib/vendor/x 2>/dev/null || echo no", "no"),
            ("grep /usr/lib/vendor /proc/self/mountinfo | grep -c nosuid,nodev", "1"),
        ],
    );
    check(&orca, "some", &[(devices, "1\nyes"), ("test -c /dev/gpu0 && echo 0", "0")]);
    check(&orca, "every", &[(devices, "2\nyes")]);
    check(&orca, "reserved", &[(devices, "1\nyes"), ("test -c /dev/gpu1 && echo 1", "1")]);
    let missing = format!(
        "name: cdi\nservices:\n  named: {{image: busybox, command: id, restart: 'no', \
         devices: [{vendor}/gpu=9]}}\n"
    );
    orca.write("stack.yaml", &missing);
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    ran.says(&format!("{vendor}/gpu=9")).says(&format!("{vendor}/gpu=0"));
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
