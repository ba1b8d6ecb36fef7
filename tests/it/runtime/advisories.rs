//! What other runtimes got wrong: a test for each rule that their advisories teach, beside those that
//! `docs/threat-model.md` names elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use orca::model::Namespace;
use orca::runtime::ExecRequest;

use super::bed::{Bed, bind, output};

/// CVE-2021-30465, CVE-2024-45310: a target that another container exchanges for a link, again and
/// again, while mounts are made on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_exchanged_meanwhile_stays_inside() {
    let bed = Bed::new().await;
    let (outside, shared, source) =
        (bed.dir.path().join("outside"), bed.dir.path().join("shared"), bed.dir.path().join("s"));
    for directory in [&outside, &source, &shared.join("real")] {
        fs::create_dir_all(directory).unwrap();
    }
    symlink(&outside, shared.join("link")).unwrap();
    let end = AtomicBool::new(false);
    let exchange = || {
        let (real, link) = (shared.join("real"), shared.join("link"));
        let (flags, here) = (rustix::fs::RenameFlags::EXCHANGE, rustix::fs::CWD);
        while !end.load(Ordering::Relaxed) {
            rustix::fs::renameat_with(here, &real, here, &link, flags).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let racing = scope.spawn(exchange);
        let own = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            own.block_on(async {
                for _ in 0..25 {
                    let mut request = bed.request(&["true"]);
                    request.mounts = vec![
                        bind(&shared, "/shared", false),
                        bind(&source, "/shared/real/x/y", false),
                    ];
                    // Whichever it finds, and an error is fine too.
                    let id = request.container.id.clone();
                    if bed.runtime.start(request).await.is_ok() {
                        bed.wait(&id).await;
                    }
                }
            });
        });
        end.store(true, Ordering::Relaxed);
        racing.join().unwrap();
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    bed.end().await;
}

/// CVE-2016-9962: who enters a container is seen by its processes before it is the program.
#[tokio::test]
async fn nobody_sees_what_a_program_has_open_on_its_way_in() {
    let bed = Bed::new().await;
    for users in [None, Some(orca::model::IdMaps::numbered(7))] {
        let own = bed.dir.path().display().to_string();
        let mut request = bed.shell(&format!(
            "while :; do find /proc/[0-9]*/fd /proc/[0-9]*/exe /proc/[0-9]*/cwd -type l \
             -exec readlink {{}} ';' 2>/dev/null | grep -e memfd -e shim -e '{own}'; done"
        ));
        request.container.users = users;
        let (id, log) = (request.container.id.clone(), request.log_dir.clone());
        bed.runtime.start(request).await.unwrap();
        for _ in 0..30 {
            assert_eq!(bed.exec(&id, "exit 3").await.0, 3);
        }
        let seen = output(&log).await;
        assert_eq!(seen, "");
        bed.runtime.remove(&id).await.unwrap();
    }
    bed.end().await;
}

/// CVE-2019-5736: a program that is orca's own executable.
#[tokio::test]
async fn the_program_cannot_be_orca_itself_with_its_file_open_for_writing() {
    let bed = Bed::new().await;
    let executable = Path::new(env!("CARGO_BIN_EXE_orca"));
    let before = fs::metadata(executable).unwrap();
    let layer = bed.dir.path().join("hostile");
    fs::create_dir_all(layer.join("bin")).unwrap();
    symlink("/proc/self/exe", layer.join("bin/entry")).unwrap();
    let mut request = bed.request(&["/bin/entry", "--version"]);
    request.rootfs.lower.insert(0, layer);
    let id = request.container.id.clone();
    // It may run, as what it is; it must not be changed.
    if bed.runtime.start(request).await.is_ok() {
        bed.wait(&id).await;
    }
    let request = bed.shell("sleep 100");
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let script = "for n in 1 2 3 4 5 6 7 8 9; do for p in /proc/[0-9]*; do \
         (echo x >> $p/exe) 2>/dev/null && echo wrote $p; done; done";
    let (_, wrote) = bed.exec(&id, script).await;
    assert_eq!(wrote, "");
    let after = fs::metadata(executable).unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
    bed.end().await;
}

/// CVE-2022-29162, CVE-2025-27612: a further program with more rights than the container's.
#[tokio::test]
async fn a_further_program_has_the_rights_of_the_first() {
    let bed = Bed::new().await;
    for (user, drop) in [("", vec![]), ("app", vec![]), ("", vec!["ALL".to_owned()])] {
        let mut request = bed.shell("sleep 100");
        request.container.user = user.to_owned();
        request.container.cap_drop = drop;
        let id = request.container.id.clone();
        bed.runtime.start(request).await.unwrap();
        let words = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/$P/status";
        let (_, first) = bed.exec(&id, &words.replace("$P", "1")).await;
        let (_, further) = bed.exec(&id, &words.replace("$P", "self")).await;
        assert_eq!(first, further, "as {user:?}");
        assert!(first.contains("CapInh:\t0000000000000000"), "{first}");
        bed.runtime.remove(&id).await.unwrap();
    }
    bed.end().await;
}

/// CVE-2023-25809: the host's cgroups, writable.
#[tokio::test]
async fn the_hosts_cgroups_are_shown_and_cannot_be_written() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "ls /sys/fs/cgroup | wc -l; cd /sys/fs/cgroup; \
         for d in . *; do mkdir $d/probe 2>/dev/null && echo made $d; done; true",
    );
    request.container.namespaces.cgroup = Namespace::Host;
    let (_, said) = bed.run(request).await;
    assert!(!said.contains("made") && said.trim() != "0", "{said}");
    bed.end().await;
}

/// CVE-2025-31133 and CVE-2025-52565: what hides files, and the console, as links of the image.
#[tokio::test]
async fn device_files_of_the_image_hide_nothing_and_are_nothing() {
    let bed = Bed::new().await;
    let layer = bed.dir.path().join("hostile");
    fs::create_dir_all(layer.join("dev/pts")).unwrap();
    fs::write(layer.join("victim"), "untouched\n").unwrap();
    for name in ["null", "console", "ptmx", "pts/0", "pts/ptmx", "shm", "mqueue", "fd"] {
        symlink("/victim", layer.join("dev").join(name)).unwrap();
    }
    let script = "test -c /dev/null && echo device; cat /proc/interrupts | wc -c; echo x > /dev/null; \
         echo x > /dev/console; test -d /dev/shm && echo memory; cat /victim";
    for tty in [false, true] {
        let mut request = bed.shell(script);
        request.rootfs.lower.insert(0, layer.clone());
        request.container.tty = tty;
        let (_, said) = bed.run(request).await;
        let said = said.replace('\r', "");
        assert!(said.contains("device\n0\n"), "{said}");
        assert!(said.contains("memory\nuntouched"), "{said}");
    }
    bed.end().await;
}

/// How it is called, and what makes it at a path.
type Way<'a> = (&'a str, &'a dyn Fn(&Path));

/// CVE-2025-24965, CVE-2026-47262, CVE-2024-40635: files of the image that say who is who.
#[tokio::test]
async fn user_files_of_the_image_lead_nowhere_and_end() {
    let bed = Bed::new().await;
    let secret = bed.dir.path().join("passwd");
    fs::write(&secret, "app:x:4242:4242::/:/bin/sh\n").unwrap();
    let ways: [Way<'_>; 4] = [
        ("a link out", &|at| symlink(&secret, at).unwrap()),
        ("a way up", &|at| {
            symlink(format!("../../../../../../..{}", secret.display()), at).unwrap();
        }),
        ("a pipe", &|at| {
            nix::unistd::mkfifo(at, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        }),
        ("a link to itself", &|at| symlink("passwd", at).unwrap()),
    ];
    for (number, (way, make)) in ways.into_iter().enumerate() {
        let layer = bed.dir.path().join(format!("hostile-{number}"));
        fs::create_dir_all(layer.join("etc")).unwrap();
        make(&layer.join("etc/passwd"));
        let mut request = bed.request(&["id", "-u"]);
        request.rootfs.lower.insert(0, layer.clone());
        request.container.user = "app".to_owned();
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains("app"), "{way}: {error}");
        // By number nobody needs the file.
        let mut request = bed.request(&["grep", "Uid", "/proc/self/status"]);
        request.rootfs.lower.insert(0, layer);
        request.container.user = "77".to_owned();
        assert_eq!(bed.run(request).await.1, "Uid:\t77\t77\t77\t77\n", "{way}");
    }
    for (user, word) in
        [("4294967296", "4294967296"), ("-1", "-1"), ("1:99999999999", "99999999999")]
    {
        let mut request = bed.request(&["id"]);
        request.container.user = user.to_owned();
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains(word), "{error}");
    }
    bed.end().await;
}

/// CVE-2021-41091, CVE-2024-25621: files of containers with set-user-id bits that users of the host
/// can reach.
#[test]
fn directories_of_orca_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let orca = crate::support::Orca::new().with_busybox();
    for directory in [orca.root(), orca.run_dir()] {
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", directory.display());
    }
}

/// The page that says which test holds which rule names tests that are there.
#[test]
fn every_rule_has_its_test() {
    let repository = crate::support::repository();
    let page = fs::read_to_string(repository.join("docs/threat-model.md")).unwrap();
    let rules: Vec<&str> = page.lines().filter(|line| line.contains("| CVE-")).collect();
    assert!(rules.len() > 15, "{}", rules.len());
    for rule in rules {
        let tests: Vec<_> = rule.split('`').filter_map(|word| word.split_once("::")).collect();
        assert!(!tests.is_empty(), "{rule}");
        for (file, name) in tests {
            let text = fs::read_to_string(repository.join(file)).expect(file);
            assert!(text.contains(&format!("fn {name}(")), "there is no {name} in {file}");
        }
    }
}

/// CVE-2024-21626 for further programs: the directory is checked there too.
#[tokio::test]
async fn a_further_program_starts_nowhere_outside() {
    let bed = Bed::new().await;
    let request = bed.shell("sleep 100");
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    for number in 3..12 {
        let cwd = Some(format!("/proc/self/fd/{number}"));
        let args = ["ls", "-d", "../../etc/hostname"].map(str::to_owned).to_vec();
        let exec = bed.runtime.exec(&id, ExecRequest { args, cwd, ..ExecRequest::default() }).await;
        let error = exec.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("director"), "{number}: {error:?}");
    }
    bed.end().await;
}
