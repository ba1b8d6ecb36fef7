//! The files that a container sees.

use super::super::support::Orca;
use super::check;

const STACK: &str = r#"name: files
services:
  a:
    image: busybox
    command: sleep 1000
    read_only: true
    tmpfs: ["/limited:size=1m,mode=1770,uid=1000", /plain]
    volumes:
      - ./one.txt:/one.txt
      - ./dir:/ro:ro
      - ./made/below:/made
      - data:/data
      - /anonymous
      - etc:/etc/copied
      - {type: volume, source: home, target: /root, volume: {nocopy: true}}
      - {type: tmpfs, target: /memory, tmpfs: {size: 2m, mode: 0700}}
    configs: [{source: text, target: /text, mode: 0640, uid: "7", gid: "8"}]
    secrets: [hidden]
    shm_size: 3m
  b:
    image: busybox
    command: sleep 1000
    volumes:
      - bin:/bin
      - {type: volume, source: data, target: /part, volume: {subpath: inner}}
    depends_on: [a]
    profiles: [later]
configs: {text: {content: "some text"}}
secrets: {hidden: {file: ./one.txt}}
volumes: {data: {}, etc: {}, home: {}, bin: {}}
"#;

#[test]
fn mounts_are_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.write("one.txt", "one\n");
    orca.write("dir/in", "in\n");
    orca.up(STACK);
    check(
        &orca,
        "a",
        &[
            ("cat /one.txt /ro/in", "one\nin"),
            ("touch /ro/x 2>/dev/null || echo no", "no"),
            ("touch /x 2>/dev/null || echo no", "no"),
            ("touch /made/new /data/new /anonymous/new && echo yes", "yes"),
            ("stat -c '%a %u' /limited", "1770 1000"),
            ("stat -c '%a' /memory", "700"),
            ("stat -c '%a' /plain", "1777"),
            ("grep -o ' /limited .*size=[0-9a-z]*' /proc/mounts | grep -o 'size=.*'", "size=1024k"),
            ("grep -o ' /memory .*size=[0-9a-z]*' /proc/mounts | grep -o 'size=.*'", "size=2048k"),
            ("grep -o ' /dev/shm .*size=[0-9a-z]*' /proc/mounts | grep -o 'size=.*'", "size=3072k"),
            ("cat /text; stat -c ' %a %u %g' /text", "some text 640 7 8"),
            ("cat /run/secrets/hidden", "one"),
            ("mkdir /data/inner; echo deep > /data/inner/file; echo ok", "ok"),
        ],
    );
    assert!(orca.files().join("made/below/new").exists(), "a missing path was made on the host");
    // A new volume is filled with what the image has there, and parts of volumes can be had.
    orca.ok(&["--profile", "later", "up", "-f", "stack.yaml"]);
    check(&orca, "b", &[("cat /part/file", "deep"), ("ls /bin | grep -c '^busybox$'", "1")]);
    // An anonymous volume goes with its task, a named one stays.
    orca.ok(&["--profile", "later", "down", "-f", "stack.yaml"]);
    let volumes = orca.ok(&["volume", "ls", "-q"]);
    let mut names: Vec<_> = volumes.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["files_bin", "files_data", "files_etc", "files_home"]);
}

#[test]
fn what_is_to_be_mounted_and_is_not_there_is_named() {
    let orca = Orca::new().with_busybox();
    let stack = |mount: &str| {
        format!(
            "name: missing\nservices:\n  a:\n    image: busybox\n    command: id\n    restart: 'no'\n    \
             volumes: [{mount}]\nvolumes: {{data: {{}}}}\n"
        )
    };
    let nowhere = orca.files().join("nowhere");
    let bind = format!(
        "{{type: bind, source: {}, target: /x, bind: {{create_host_path: false}}}}",
        nowhere.display()
    );
    orca.write("stack.yaml", &stack(&bind));
    orca.run(&["up", "-f", "stack.yaml"]).expect(1).says("nowhere");
    assert!(!nowhere.exists(), "it was not to be made");

    let part = "{type: volume, source: data, target: /x, volume: {subpath: nodir}}";
    orca.write("stack.yaml", &stack(part));
    orca.run(&["up", "-f", "stack.yaml"]).expect(1).says("nodir");
}
