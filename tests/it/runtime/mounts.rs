//! What a container sees of files.

use std::fs;
use std::os::unix::fs::symlink;

use orca::model::{HostMount, HostMountSource};
use orca::runtime::StartError;

use super::bed::{Bed, bind};

fn mount(target: &str, source: HostMountSource) -> HostMount {
    HostMount { target: target.to_owned(), read_only: false, source }
}

#[tokio::test]
async fn every_kind_of_mount_is_there() {
    let bed = Bed::new().await;
    let host = bed.dir.path().join("host");
    fs::create_dir_all(host.join("sub/deep")).unwrap();
    fs::write(host.join("file"), "from the host").unwrap();
    let other = bed.dir.path().join("other");
    for layer in ["top", "base"] {
        fs::create_dir_all(other.join(layer).join("etc")).unwrap();
        fs::write(other.join(layer).join("etc/name"), layer).unwrap();
        fs::write(other.join(layer).join(layer), "").unwrap();
    }
    let mut request = bed.shell(
        "exec 2>&1; cat /mnt/file; echo; cat /etc/one; echo written > /mnt/sub/deep/out; \
         echo x > /ro/file || echo ro-kept; ls /made/new/part; ls /image; cat /image/etc/name; echo; \
         cat /secret; stat -c '%a %u %g' /secret; stat -c %a /scratch; \
         grep ' /scratch ' /proc/self/mountinfo; touch /image/x || echo image-kept",
    );
    request.mounts = vec![
        bind(&host, "/mnt", false),
        bind(&host.join("file"), "/etc/one", true),
        bind(&host, "/ro", true),
        mount(
            "/made/new/part",
            HostMountSource::Bind {
                path: host.clone(),
                subpath: Some("sub".to_owned()),
                propagation: Some("rslave".to_owned()),
                recursive: false,
            },
        ),
        mount(
            "/image",
            HostMountSource::Layers {
                lower: vec![other.join("top"), other.join("base")],
                subpath: None,
            },
        ),
        mount(
            "/secret",
            HostMountSource::File { content: b"hidden\n".to_vec(), uid: 7, gid: 8, mode: 0o440 },
        ),
        mount(
            "/scratch",
            HostMountSource::Tmpfs {
                size: Some(1 << 20),
                mode: Some(0o1777),
                options: vec!["exec".into()],
            },
        ),
    ];
    let (exit, said) = bed.run(request).await;
    assert_eq!(exit.code, 0, "{said}");
    for words in [
        "from the host\nfrom the host",
        "ro-kept",
        "deep",
        "base\nbin",
        "top",
        "hidden\n440 7 8",
        "1777",
        "image-kept",
    ] {
        let words = words.replace("base\nbin", "base");
        assert!(said.contains(&words), "{words:?} in {said}");
    }
    assert!(said.contains("nosuid,nodev") && said.contains("size=1024k"), "{said}");
    assert_eq!(fs::read_to_string(host.join("sub/deep/out")).unwrap(), "written\n");
    bed.end().await;
}

#[tokio::test]
async fn the_root_is_an_overlay_and_can_be_read_only() {
    let bed = Bed::new().await;
    let request = bed.shell("echo new > /etc/new; rm /etc/group; grep ' / overlay ' /proc/mounts");
    let upper = request.rootfs.upper.clone();
    let (exit, said) = bed.run(request).await;
    assert_eq!(exit.code, 0);
    // Or the end of each container would wait until all of the host's files are on the disk.
    assert!(said.contains("volatile"), "{said}");
    assert_eq!(fs::read_to_string(upper.join("etc/new")).unwrap(), "new\n");
    assert!(bed.dir.path().join("image/etc/group").exists());
    let mut request = bed.shell("touch /x 2>&1; touch /dev/shm/y && touch /v/z && echo fine");
    request.container.read_only = true;
    request.mounts =
        vec![mount("/v", HostMountSource::Tmpfs { size: None, mode: None, options: vec![] })];
    let (_, said) = bed.run(request).await;
    assert!(said.contains("Read-only file system") && said.contains("fine"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn many_layers_with_long_paths_are_mounted() {
    let bed = Bed::new().await;
    let mut request = bed.shell("ls /layers | wc -l");
    for number in 0..120 {
        let layer = bed.dir.path().join("long-".repeat(30)).join(format!("layer{number}"));
        fs::create_dir_all(layer.join("layers")).unwrap();
        fs::write(layer.join("layers").join(number.to_string()), "").unwrap();
        request.rootfs.lower.insert(0, layer);
    }
    let (_, said) = bed.run(request).await;
    assert!(said.contains("120"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn links_of_an_image_lead_nowhere_outside() {
    let bed = Bed::new().await;
    let outside = bed.dir.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    let host = bed.dir.path().join("host");
    fs::create_dir_all(&host).unwrap();
    let layer = bed.dir.path().join("hostile");
    fs::create_dir_all(&layer).unwrap();
    symlink(&outside, layer.join("mnt")).unwrap();
    symlink("../../../../../..", layer.join("up")).unwrap();
    let mut request = bed.shell("touch /mnt/inside; ls -d /mnt/inside");
    request.rootfs.lower.insert(0, layer.clone());
    request.mounts = vec![
        bind(&host, "/mnt/sub", false),
        bind(&host, &format!("/up{}/two", outside.display()), false),
    ];
    let (exit, said) = bed.run(request).await;
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{said}");
    assert_eq!(exit.code, 0, "{said}");
    for name in ["proc", "dev", "sys"] {
        let layer = bed.dir.path().join(format!("hostile-{name}"));
        fs::create_dir_all(&layer).unwrap();
        symlink(&outside, layer.join(name)).unwrap();
        let mut request = bed.request(&["true"]);
        request.rootfs.lower.insert(0, layer);
        let StartError { code, message } = bed.runtime.start(request).await.unwrap_err();
        assert!(code == 128 && message.contains(&format!("/{name}")), "{message}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    bed.end().await;
}

#[tokio::test]
async fn mounts_that_would_undo_the_confinement_are_refused() {
    let bed = Bed::new().await;
    let host = bed.dir.path().join("host");
    fs::create_dir_all(&host).unwrap();
    let layer = bed.dir.path().join("hostile");
    fs::create_dir_all(&layer).unwrap();
    symlink("/proc", layer.join("innocent")).unwrap();
    for target in ["/proc", "/proc/sys", "/innocent", "/innocent/sys", "/", "/tmp/.."] {
        let mut request = bed.request(&["true"]);
        request.rootfs.lower.insert(0, layer.clone());
        request.mounts = vec![bind(&host, target, false)];
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.starts_with("cannot mount"), "{target}: {error}");
    }
    let mut request = bed.request(&["true"]);
    request.mounts = vec![bind(&host.join("none"), "/x", false)];
    let error = bed.runtime.start(request).await.unwrap_err();
    assert!(error.message.contains("no such file or directory"), "{error}");
    bed.end().await;
}
