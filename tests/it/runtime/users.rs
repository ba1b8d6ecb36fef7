//! User namespaces: a container's root is nobody on the host, and its files are as if it were not so.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use orca::model::{FIRST_USER, IdMaps, Namespace, USERS};
use orca::runtime::StartRequest;

use super::bed::{Bed, bind, output};

/// The host's number of the container's root in these tests.
fn root_outside() -> u32 {
    IdMaps::numbered(7).user(0).unwrap()
}

#[tokio::test]
async fn root_in_a_container_is_nobody_on_the_host() {
    let bed = Bed::new().await;
    let request = bed.shell("id -u; cat /proc/self/uid_map /proc/self/gid_map; sleep 100");
    let (id, log) = (request.container.id.clone(), request.log_dir.clone());
    let pid = bed.runtime.start(request).await.unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let outside = root_outside();
    assert!((FIRST_USER..FIRST_USER + 100 * USERS).contains(&outside));
    let line = format!("Uid:\t{outside}\t{outside}\t{outside}\t{outside}");
    assert!(status.contains(&line), "{status}");
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert_ne!(namespace(pid), namespace(std::process::id()));
    let said = bed.until(&log, "\n").await;
    assert!(said.starts_with("0\n"), "{said}");
    // A further program is in the same namespace, as the same user.
    let (code, inside) =
        bed.exec(&id, "id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user").await;
    let lines = inside.lines().collect::<Vec<_>>();
    assert_eq!((code, lines[0]), (0, "0"), "{inside}");
    assert_eq!(lines[1], namespace(pid).to_string_lossy(), "{inside}");
    assert_eq!(lines[1], lines[2], "{inside}");
    bed.end().await;
}

#[tokio::test]
async fn files_have_the_owners_on_disk_that_they_have_in_the_container() {
    let bed = Bed::new().await;
    let image = bed.dir.path().join("image");
    fs::write(image.join("data/of-app"), "old\n").unwrap();
    std::os::unix::fs::chown(image.join("data/of-app"), Some(1000), Some(1000)).unwrap();
    let volume = bed.dir.path().join("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("of-app"), "old\n").unwrap();
    std::os::unix::fs::chown(volume.join("of-app"), Some(1000), Some(2000)).unwrap();
    let script = "stat -c '%u:%g' /data/of-app /volume/of-app /volume /; \
         echo new >> /data/of-app; echo new >> /volume/of-app; \
         touch /volume/made /made; mkdir /volume/dir; chown 1000:2000 /volume/dir; \
         touch /data/given; chown 1000:2000 /data/given; mknod /volume/pipe p; rm /etc/group";
    let mut request = bed.shell(script);
    request.mounts.push(bind(&volume, "/volume", false));
    let upper = request.rootfs.upper.clone();
    let (exit, said) = bed.run(request).await;
    assert_eq!(exit.code, 0, "{said}");
    assert_eq!(said, "1000:1000\n1000:2000\n0:0\n0:0\n");
    for (path, owner) in [
        (volume.join("of-app"), (1000, 2000)),
        (volume.join("made"), (0, 0)),
        (volume.join("dir"), (1000, 2000)),
        (volume.join("pipe"), (0, 0)),
        (upper.join("data/of-app"), (1000, 1000)),
        (upper.join("data/given"), (1000, 2000)),
        (upper.join("made"), (0, 0)),
        (upper.join("data"), (0, 0)),
    ] {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), owner, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(upper.join("data/of-app")).unwrap(), "old\nnew\n");
    bed.end().await;
}

#[tokio::test]
async fn rights_of_files_count() {
    let bed = Bed::new().await;
    let image = bed.dir.path().join("image");
    let capable = image.join("bin/busybox.capable");
    fs::copy("/bin/busybox", &capable).unwrap();
    // Version 2, effective: CAP_NET_RAW.
    let rights = [0x0200_0001_u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes).concat();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&capable, "security.capability", &rights, flags).unwrap();
    let other = image.join("bin/busybox.other");
    fs::copy("/bin/busybox", &other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::chown(&other, Some(1234), Some(0)).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut request = bed.shell(
        "busybox.capable grep CapEff /proc/self/status; busybox.other grep Uid /proc/self/status",
    );
    request.container.user = "app".to_owned();
    let (exit, said) = bed.run(request).await;
    assert_eq!(exit.code, 0, "{said}");
    assert!(said.contains("CapEff:\t0000000000002000"), "{said}");
    // It gives the right up at once, but for what it has saved.
    assert!(said.contains("Uid:\t1000\t1000\t1234\t1000"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn rights_over_the_network_are_over_the_containers_own() {
    let bed = Bed::new().await;
    let script = "ip link set lo mtu 1400 && echo set; \
         (nc -l -p 80 -e true & sleep 0.2; nc 127.0.0.1 80 </dev/null && echo answered)";
    let mut request = bed.shell(script);
    request.container.cap_add = vec!["NET_ADMIN".to_owned()];
    let (_, said) = bed.run(request).await;
    assert!(said.contains("set\n") && said.contains("answered"), "{said}");
    let (_, said) = bed.run(bed.shell("ip link set lo mtu 1400 && echo set")).await;
    assert!(!said.contains("set\n"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn what_cannot_be_shown_with_other_owners_takes_the_hosts_users() {
    let bed = Bed::new().await;
    let mut request = bed.shell("cat /proc/self/uid_map; cat /host/version; sleep 100");
    request.mounts.push(bind("/proc".as_ref(), "/host", true));
    let log = request.log_dir.clone();
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let said = bed.until(&log, "Linux").await;
    assert!(said.contains("4294967295"), "{said}");
    // What is exec'ed there is like it, and so is what shares its processes.
    let (_, inside) = bed.exec(&id, "cat /proc/self/uid_map").await;
    assert!(inside.contains("4294967295"), "{inside}");
    let mut second = bed.shell("cat /proc/self/uid_map");
    second.container.namespaces.pid = Namespace::Container(id);
    let (_, said) = bed.run(second).await;
    assert!(said.contains("4294967295"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn containers_of_one_stack_can_share_processes_and_memory() {
    let bed = Bed::new().await;
    let first = bed.shell("trap 'echo asked; exit 5' TERM; sleep 100 & wait");
    let id = first.container.id.clone();
    let log = first.log_dir.clone();
    bed.runtime.start(first).await.unwrap();
    let mut second = bed.shell("cat /proc/self/uid_map | grep -c 65536; kill -TERM 1");
    second.container.namespaces.pid = Namespace::Container(id.clone());
    second.container.namespaces.ipc = Namespace::Container(id.clone());
    let (exit, said) = bed.run(second).await;
    // The kernel kills what is left in a pid namespace once its first process has ended.
    assert!([0, 137].contains(&exit.code), "{exit:?}");
    assert_eq!(said, "1\n");
    assert_eq!(bed.wait(&id).await.code, 5);
    assert_eq!(output(&log).await, "asked\n");
    bed.end().await;
}

#[tokio::test]
async fn a_user_that_is_not_there_is_told() {
    let bed = Bed::new().await;
    let refuse = async |change: &dyn Fn(&mut StartRequest)| {
        let mut request = bed.shell("true");
        change(&mut request);
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains("userns_mode: host"), "{error}");
    };
    refuse(&|request| request.container.user = "70000".to_owned()).await;
    refuse(&|request| request.container.user = "1:70000".to_owned()).await;
    refuse(&|request| request.container.groups = vec!["65536".to_owned()]).await;
    bed.end().await;
}

#[tokio::test]
async fn without_a_user_namespace_a_container_is_confined_all_the_same() {
    let bed = Bed::new().await;
    let mut request = bed.shell(
        "cat /proc/self/uid_map; echo 1 > /proc/sys/kernel/panic || echo kept; \
         mount -t tmpfs x /tmp || echo nomount; hostname other || echo noname; \
         ip link set lo mtu 1400 || echo nolink",
    );
    request.container.users = None;
    let (_, said) = bed.run(request).await;
    for words in ["4294967295\n", "kept\n", "nomount\n", "noname\n", "nolink\n"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    bed.end().await;
}

#[tokio::test]
async fn devices_of_the_host_keep_their_owner() {
    let bed = Bed::new().await;
    for users in [None, Some(IdMaps::numbered(7))] {
        let mut request = bed.request(&["true"]);
        request.container.user = "app".to_owned();
        request.container.users = users;
        bed.run(request).await;
        let null = fs::metadata("/dev/null").unwrap();
        assert_eq!((null.uid(), null.mode() & 0o777), (0, 0o666));
    }
    bed.end().await;
}
