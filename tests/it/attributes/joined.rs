//! Services that are put together from several files, and services that use one another.

use super::super::support::Orca;
use super::check;

#[test]
fn what_is_included_and_extended_runs() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "part/part.yaml",
        "services:\n  part:\n    image: busybox\n    command: sleep 1000\n    \
         environment: {WORD: \"${WORD}\"}\n    volumes: [\"./here:/here\"]\n",
    );
    orca.write("part/.env", "WORD=of the part\n");
    orca.write("part/here/file", "beside the part\n");
    orca.write(
        "base.yaml",
        "services:\n  base:\n    image: busybox\n    command: sleep 1000\n    \
         environment: {FROM: base, BOTH: base}\n    working_dir: /tmp\n",
    );
    orca.write("labels.txt", "from.file=yes\nboth=file\n");
    orca.up(r#"name: joined
include: [part/part.yaml]
services:
  child:
    extends: {file: base.yaml, service: base}
    environment: {BOTH: child}
    label_file: [labels.txt]
    labels: {both: stack}
    annotations: {org.test.note: "seen in the plan"}
"#);
    check(&orca, "part", &[("echo $WORD", "of the part"), ("cat /here/file", "beside the part")]);
    check(&orca, "child", &[("echo $FROM $BOTH; pwd", "base child\n/tmp")]);
    let labels = orca.container("joined-child-1")["Labels"].to_string();
    assert!(labels.contains("from.file=yes") && labels.contains("both=stack"), "{labels}");
}

#[test]
fn services_see_one_another_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.up(r#"name: others
services:
  server:
    image: busybox
    command: sh -c 'mkdir -p /data/www; echo served > /data/www/index.html; exec httpd -f -p 80 -h /data/www'
    volumes: [shared:/data]
  client:
    image: busybox
    command: sleep 1000
    links: ["server:page"]
    volumes_from: ["server:ro"]
  resolving:
    image: busybox
    command: sleep 1000
    dns: [192.0.2.53]
    network_mode: host
  many:
    image: busybox
    command: sleep 1000
    deploy: {replicas: 2, endpoint_mode: dnsrr}
  devices:
    image: busybox
    command: sleep 1000
    cap_add: [MKNOD, SYSLOG]
    device_cgroup_rules: ["c 1:11 rw"]
volumes: {shared: {}}
"#);
    check(
        &orca,
        "client",
        &[
            ("wget -qO- http://page/", "served"),
            ("cat /data/www/index.html", "served"),
            ("touch /data/x 2>/dev/null || echo no", "no"),
            ("nslookup -type=a many 2>/dev/null | grep -c '^Address: '", "2"),
        ],
    );
    check(&orca, "resolving", &[("grep -c 192.0.2.53 /etc/resolv.conf", "1")]);
    // The kernel's log, which no container may open unless a rule lets it.
    let open = "mknod /tmp/kmsg c 1 11 && (: < /tmp/kmsg) 2>/dev/null && echo open || echo no";
    check(&orca, "devices", &[(open, "open")]);
}
