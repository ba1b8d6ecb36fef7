//! What a program in a container cannot do.

use orca::model::Namespace;

use super::bed::{Bed, output};

#[tokio::test]
async fn root_in_a_container_sees_only_the_container() {
    let bed = Bed::new().await;
    let (exit, said) = bed
        .run(bed.shell(
            "echo pid $$; hostname; ls /proc | grep -c '^[0-9]'; ls /sys/class/net; \
             grep -c . /proc/self/mountinfo; cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; \
             echo 1 > /proc/sys/kernel/panic || echo kept; mount -t tmpfs x /tmp || echo nomount; \
             hostname other || echo noname; mknod /tmp/disk b 8 0 && cat /tmp/disk || echo nodisk; \
             cat /proc/self/status | grep Cap; ls -l /proc/self/fd | grep -c /",
        ))
        .await;
    assert_eq!(exit.code, 0, "{said}");
    for words in ["pid 1\n", "box\n", "kept\n", "nomount\n", "noname\n", "nodisk\n"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    assert!(said.contains("CapBnd:\t00000000a80425fb"), "{said}");
    assert!(said.contains("CapInh:\t0000000000000000"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn nothing_of_the_host_is_open() {
    let bed = Bed::new().await;
    // The one more is the directory that ls reads.
    let (_, said) = bed.run(bed.request(&["ls", "/proc/self/fd"])).await;
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "{said}");
    for cwd in ["/proc/self/fd/3", "/proc/self/fd/7", "/proc/self/fd/10"] {
        let mut request = bed.request(&["pwd"]);
        request.container.cwd = cwd.to_owned();
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains("director"), "{error}");
    }
    bed.end().await;
}

#[tokio::test]
async fn the_executable_of_orca_cannot_be_written() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "cat /proc/1/exe | head -c 4 | od -c | head -1; echo x >> /proc/1/exe || echo kept; \
         ls -l /proc/1/exe",
    );
    // With its own init, process 1 stays orca.
    request.container.init = true;
    let (_, said) = bed.run(request).await;
    assert!(said.contains("kept"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn a_user_is_who_the_image_says_and_has_no_rights() {
    let bed = Bed::new().await;
    let script =
        "id; pwd; echo $HOME; grep -E 'Cap(Eff|Prm|Bnd)' /proc/self/status; echo out > /dev/stdout";
    let mut request = bed.shell(script);
    request.container.user = "app".to_owned();
    request.container.groups = vec!["3000".to_owned()];
    request.container.cwd = "/work/place".to_owned();
    let (exit, said) = bed.run(request).await;
    assert_eq!(exit.code, 0, "{said}");
    assert!(
        said.contains("uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),3000"),
        "{said}"
    );
    assert!(said.contains("/work/place\n/home/app\n"), "{said}");
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert!(said.contains("out\n"), "{said}");
    let mut request = bed.shell("id -u; id -g");
    // A number is never a name, and without a group it has group 0 (CVE-2026-30892).
    request.container.user = "1".to_owned();
    assert!(bed.run(request).await.1.contains("1\n0\n"));
    bed.end().await;
}

#[tokio::test]
async fn capabilities_can_be_added_and_dropped() {
    let bed = Bed::new().await;
    let mut request = bed.shell("grep Cap /proc/self/status");
    request.container.cap_drop = vec!["ALL".to_owned()];
    request.container.cap_add = vec!["NET_ADMIN".to_owned()];
    let (_, said) = bed.run(request).await;
    for set in ["Prm", "Eff", "Bnd"] {
        assert!(said.contains(&format!("Cap{set}:\t0000000000001000")), "{said}");
    }
    assert!(said.contains("CapAmb:\t0000000000000000"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn no_new_privileges_and_the_filter_are_in_force() {
    let bed = Bed::new().await;
    let words = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status";
    let said = bed.run(bed.shell(words)).await.1;
    assert!(said.contains("NoNewPrivs:\t0") && said.contains("Seccomp:\t2"), "{said}");
    let mut request = bed.shell(&format!("{words}; sleep 100"));
    request.container.security_opt = vec!["no-new-privileges:true".to_owned()];
    let (id, log) = (request.container.id.clone(), request.log_dir.clone());
    bed.runtime.start(request).await.unwrap();
    let (_, inside) = bed.exec(&id, words).await;
    assert!(inside.contains("NoNewPrivs:\t1") && inside.contains("Seccomp:\t2"), "{inside}");
    assert!(output(&log).await.contains("NoNewPrivs:\t1"));
    let mut request = bed.shell(words);
    request.container.security_opt = vec!["seccomp=unconfined".to_owned()];
    let said = bed.run(request).await.1;
    assert!(said.contains("Seccomp:\t0"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn privileged_is_privileged() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "mount -t tmpfs x /tmp && echo mounted; grep CapEff /proc/self/status; \
         grep Seccomp: /proc/self/status; ls /dev | wc -l; touch /sys/fs/cgroup/pids/x; \
         cat /proc/sys/kernel/panic",
    );
    request.container.privileged = true;
    request.container.users = None;
    let (_, said) = bed.run(request).await;
    assert!(said.contains("mounted") && said.contains("Seccomp:\t0"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn namespaces_can_be_the_hosts_or_anothers() {
    let bed = Bed::new().await;
    let first = bed.shell("echo shared > /dev/shm/x; sleep 100");
    let id = first.container.id.clone();
    let own = first.log_dir.clone();
    bed.runtime.start(first).await.unwrap();
    let mut second =
        bed.shell("ps | grep -c 'sleep 100'; hostname; readlink /proc/self/ns/ipc; cat /dev/shm/x");
    second.container.namespaces.pid = Namespace::Container(id.clone());
    second.container.namespaces.ipc = Namespace::Container(id.clone());
    second.container.namespaces.uts = Namespace::Host;
    let (exit, said) = bed.run(second).await;
    assert_eq!(exit.code, 0, "{said} {}", output(&own).await);
    let host = fs_hostname();
    assert!(said.contains(&host), "{said}");
    assert!(said.contains("shared"), "{said}");
    let (_, ipc) = bed.exec(&id, "readlink /proc/self/ns/ipc").await;
    assert!(said.contains(ipc.trim()), "{said} {ipc}");
    let mut third = bed.shell("test -d /proc/$$ && echo $$; sleep 200 & exit 3");
    third.container.namespaces.pid = Namespace::Host;
    let (exit, said) = bed.run(third).await;
    assert_eq!(exit.code, 3);
    assert_ne!(said.trim(), "1");
    bed.end().await;
}

fn fs_hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}
