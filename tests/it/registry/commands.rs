//! What a user does with images that are in a registry.

use crate::support::Orca;
use crate::support::images::BUSYBOX;

use super::server::Registry;

/// Puts busybox into a registry under a name, and leaves nothing of it here.
pub(super) fn publish(orca: &Orca, name: &str) {
    orca.ok(&["image", "tag", BUSYBOX, name]);
    orca.ok(&["image", "push", name]);
    orca.ok(&["image", "rm", name]);
}

/// Changes what a name in a registry stands for.
fn publish_another(orca: &Orca, name: &str, change: &str) {
    let tar = crate::support::images::busybox_tar();
    orca.ok(&["image", "import", "--change", change, tar.to_str().unwrap(), name]);
    orca.ok(&["image", "push", name]);
    orca.ok(&["image", "rm", name]);
}

fn stack(image: &str, more: &str) -> String {
    format!(
        "name: shop\nservices:\n  web:\n    image: {image}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n    restart: always\n{more}"
    )
}

fn image_id(orca: &Orca, name: &str) -> String {
    let text = orca.ok(&["image", "inspect", name]);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    found[0]["Id"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn a_stack_brings_its_images() {
    let mut registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("shop/web:1");
    publish(&orca, &name);
    let said = orca.up(&stack(&name, ""));
    assert!(said.contains(&format!("{name}  pulled")), "{said}");
    assert!(said.contains("1 layer"), "{said}");
    // What is here is not asked for again, and so the registry need not be there.
    registry.stop();
    let said = orca.up(&stack(&name, ""));
    assert!(!said.contains("pull"), "{said}");
    for policy in ["always", "refresh"] {
        orca.write("stack.yaml", &stack(&name, &format!("    pull_policy: {policy}\n")));
        let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
        assert!(ran.stderr.contains("refused"), "{}", ran.stderr);
    }
    orca.ok(&["up", "-f", "stack.yaml", "--pull", "missing"]);
    orca.ok(&["up", "-f", "stack.yaml", "--pull", "never"]);
    orca.run(&["up", "-f", "stack.yaml", "--pull", "always"]).expect(1);
    // A restart needs neither the registry nor a login.
    let before = orca.pid("shop-web-1");
    Orca::kill(before, nix::sys::signal::Signal::SIGKILL);
    let began = std::time::Instant::now();
    let running =
        |pid: &serde_json::Value| pid.as_i64().is_some_and(|pid| pid != i64::from(before));
    while !running(&orca.container("shop-web-1")["Pid"]) {
        assert!(began.elapsed() < crate::support::PATIENCE, "it is not started again");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_tag_that_moves_is_followed_when_the_policy_says_so() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("shop/web:1");
    publish(&orca, &name);
    orca.up(&stack(&name, ""));
    let first = image_id(&orca, &name);
    // From elsewhere: what is pushed here would be here.
    let other = Orca::new().with_busybox();
    publish_another(&other, &name, "ENV MOVED=1");
    orca.up(&stack(&name, ""));
    assert_eq!(image_id(&orca, &name), first, "`missing` does not look");
    orca.up(&stack(&name, "    pull_policy: every_100h\n"));
    assert_eq!(image_id(&orca, &name), first, "it is not time yet");
    let before = orca.pid("shop-web-1");
    let said = orca.up(&stack(&name, "    pull_policy: every_1s\n"));
    assert!(said.contains("pulled"), "{said}");
    let second = image_id(&orca, &name);
    assert_ne!(second, first);
    assert_ne!(orca.pid("shop-web-1"), before, "the service is of the new image");
    publish_another(&other, &name, "ENV MOVED=2");
    orca.up(&stack(&name, "    pull_policy: always\n"));
    assert_ne!(image_id(&orca, &name), second);
}

#[test]
fn a_look_now_and_then_may_fail() {
    let mut registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("x:1");
    publish(&orca, &name);
    orca.up(&stack(&name, ""));
    registry.stop();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    orca.write("stack.yaml", &stack(&name, "    pull_policy: every_1s\n"));
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(0);
    assert!(ran.stderr.contains("going on with the image that is here"), "{}", ran.stderr);
}

#[test]
fn what_must_not_or_cannot_be_pulled_is_said_for_each_service() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let (one, two) = (registry.name("no/such:1"), registry.name("no/other:2"));
    let two_services = format!(
        "{}  db:\n    image: {two}\n  never:\n    image: {}\n    pull_policy: never\n",
        stack(&one, ""),
        registry.name("third:3")
    );
    orca.write("stack.yaml", &two_services);
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    for part in ["no/such", "no/other", "404"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let ran = orca.run(&["up", "-f", "stack.yaml", "--pull", "never"]).expect(1);
    assert!(ran.stderr.contains("service never: there is no image"), "{}", ran.stderr);
}

#[test]
fn pull_gets_what_a_stack_needs() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let (web, db) = (registry.name("web:1"), registry.name("db:1"));
    publish(&orca, &web);
    publish(&orca, &db);
    let file = format!(
        "name: shop\nservices:\n  web:\n    image: {web}\n    depends_on: [db]\n  db:\n    image: {db}\n  own:\n    image: {}\n    build: .\n  kept:\n    image: x\n    pull_policy: never\n",
        registry.name("own:1")
    );
    orca.write("stack.yaml", &file);
    let here = |name: &str| orca.run(&["image", "inspect", name]).code == Some(0);
    orca.ok(&["pull", "-f", "stack.yaml", "web"]);
    assert!(here(&web) && !here(&db));
    let ran = orca.run(&["pull", "-f", "stack.yaml"]).expect(1);
    assert!(ran.stderr.contains("own") && ran.stderr.contains("kept  left out"), "{}", ran.stderr);
    assert!(here(&db), "the others come all the same");
    orca.ok(&["image", "rm", &db]);
    let said = orca.ok(&["pull", "-f", "stack.yaml", "--include-deps", "web"]);
    assert!(said.contains(&format!("{web}  is up to date")) && here(&db), "{said}");
    let ran = orca.run(&["pull", "-f", "stack.yaml", "--ignore-buildable"]).expect(0);
    assert!(ran.stderr.contains("own  left out: its image can be built"), "{}", ran.stderr);
    orca.run(&["pull", "-f", "stack.yaml", "--ignore-pull-failures"]).expect(0);
    let ran = orca.run(&["pull", "-f", "stack.yaml", "-q", "web", "db"]).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    orca.ok(&["pull", "-f", "stack.yaml", "--policy", "missing", "web"]);
}

#[test]
fn images_are_pushed_by_service_and_by_name() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let (web, other) = (registry.name("web:1"), registry.name("web:2"));
    orca.ok(&["image", "tag", BUSYBOX, &web]);
    orca.ok(&["image", "tag", BUSYBOX, &other]);
    let file = format!(
        "name: shop\nservices:\n  web:\n    image: {web}\n    build: .\n  db:\n    image: {BUSYBOX}\n"
    );
    orca.write("stack.yaml", &file);
    let said = orca.ok(&["push", "-f", "stack.yaml"]);
    assert!(said.contains(&format!("{web}  pushed")) && !said.contains(BUSYBOX), "{said}");
    let said = orca.ok(&["image", "push", "--all-tags", &registry.name("web")]);
    assert!(said.contains(&web) && said.contains(&other) && said.contains("sha256:"), "{said}");
    orca.ok(&["image", "rm", &web]);
    let ran = orca.run(&["image", "push", &web]).expect(1);
    assert!(ran.stderr.contains("is not on this host"), "{}", ran.stderr);
    orca.run(&["push", "-f", "stack.yaml", "--ignore-push-failures"]).expect(0);
    assert_eq!(orca.ok(&["image", "pull", "-q", &web]), format!("{web}\n"));
}

#[test]
fn a_platform_is_chosen_and_another_is_refused_where_it_cannot_run() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("x:1");
    publish(&orca, &name);
    let here = format!("linux/{}", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" });
    orca.up(&stack(&name, &format!("    platform: {here}\n")));
    orca.write("stack.yaml", &stack(&name, "    platform: linux/s390x\n"));
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!(ran.stderr.contains("is not there for linux/s390x"), "{}", ran.stderr);
    let ran = orca.run(&["image", "pull", "--platform", "plan9/x", &name]).expect(1);
    assert!(ran.stderr.contains("platform `plan9/x`"), "{}", ran.stderr);
}

#[test]
fn config_names_images_by_what_they_stand_for_now() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let name = registry.name("shop/web:1");
    publish(&orca, &name);
    let text = orca.ok(&["image", "pull", &name]);
    drop(text);
    let listed = orca.ok(&["image", "ls", "--digests", "--format", "{{.Repository}} {{.Digest}}"]);
    let line = listed.lines().find(|line| line.contains("shop/web")).unwrap();
    let digest = line.split_once(' ').unwrap().1;
    let pinned = format!("{name}@{digest}");
    let fixed = format!("{}@{digest}", registry.name("shop/web"));
    orca.write(
        "stack.yaml",
        &format!(
            "name: shop\nservices:\n  web:\n    image: {name}\n  fixed:\n    image: {pinned}\n  own:\n    build: .\n"
        ),
    );
    let config = orca.ok(&["config", "-f", "stack.yaml", "--resolve-image-digests", "--images"]);
    let mut images: Vec<_> = config.lines().collect();
    images.sort_unstable();
    assert_eq!(images, [pinned.as_str(), &fixed, "shop-own"]);
    let lock = orca.ok(&["config", "-f", "stack.yaml", "--lock-image-digests"]);
    let web = format!("  web:\n    image: {pinned}\n");
    assert!(lock.starts_with("services:\n") && lock.contains(&web), "{lock}");
    // What it prints lies over the file, and says the same again.
    orca.write("lock.yaml", &lock);
    let over = ["config", "-f", "stack.yaml", "-f", "lock.yaml", "--images"];
    let mut images: Vec<_> = orca.ok(&over).lines().map(str::to_owned).collect();
    images.sort_unstable();
    assert_eq!(images, [pinned.as_str(), &fixed, "shop-own"]);
    // What cannot be found out is an error, and nothing is printed.
    let missing = registry.name("no/such:1");
    orca.write("stack.yaml", &format!("services:\n  web:\n    image: {missing}\n"));
    let ran = orca.run(&["config", "-f", "stack.yaml", "--lock-image-digests"]).expect(1);
    assert!(ran.stderr.contains("404") && ran.stdout.is_empty(), "{}", ran.stderr);
}
