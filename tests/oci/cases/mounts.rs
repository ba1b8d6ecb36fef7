//! `root` and `mounts`: config.md, Root and Mounts.

use std::fs;

use serde_json::{Value, json};

use super::Case;
use crate::bed::{Bed, Held, same, says};

#[test]
fn orca_mounts_what_is_described() {
    crate::check(CASES);
}

/// A directory of the host with a file in it, bound to `/mnt` with these options.
fn bound(bed: &Bed, options: &[&str]) -> String {
    let source = bed.file("source");
    fs::create_dir_all(source.join("below")).unwrap();
    fs::write(source.join("file"), "text\n").unwrap();
    let source = source.to_str().unwrap().to_owned();
    bed.mount(json!({
        "destination": "/mnt", "type": "bind", "source": source, "options": options,
    }));
    source
}

/// The options that the kernel shows of the mount at `place`.
fn options_of(bed: &Bed, place: &str) -> Result<String, String> {
    bed.prints(&format!("grep ' {place} ' /proc/self/mounts | cut -d ' ' -f 4"))
}

/// A mount below the bound directory, for as long as this lives. In a mount namespace of the runtime
/// alone it could not be seen by it, so it is made on the host.
struct Below(std::path::PathBuf);

impl Below {
    fn new(source: &str) -> Self {
        let place = std::path::Path::new(source).join("below");
        let none: Option<&str> = None;
        nix::mount::mount(Some("none"), &place, Some("tmpfs"), nix::mount::MsFlags::empty(), none)
            .unwrap();
        Self(place)
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

fn has(options: &str, wanted: &[&str]) -> Held {
    let all = options.split(',').collect::<Vec<_>>();
    match wanted.iter().find(|word| !all.contains(word)) {
        Some(word) => Err(format!("{options:?} lacks {word}")),
        None => Ok(()),
    }
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a root that is read-only cannot be written",
        clause: "config.md, Root: readonly",
        check: |bed| {
            bed.config(|c| c["root"]["readonly"] = json!(true));
            says(&bed.sh("touch /x").err, "Read-only")
        },
    },
    Case {
        name: "the host's files are gone",
        clause: "config.md, Root: path is the root of the container",
        check: |bed| {
            let seen =
                bed.prints("ls /; cut -d ' ' -f 2 /proc/self/mounts | head -n 1; ls /proc/1/root")?;
            says(&seen, "bin\ndev\netc\nproc\nroot\nsys\ntmp\n/\n")
        },
    },
    Case {
        name: "mounts are made in the order in which they are listed",
        clause: "config.md, Mounts: MUST mount entries in the listed order",
        check: |bed| {
            bound(bed, &["bind"]);
            bed.mount(json!({ "destination": "/mnt/below", "type": "tmpfs", "source": "tmpfs" }));
            bed.mount(
                json!({ "destination": "/mnt/below/more", "type": "tmpfs", "source": "tmpfs" }),
            );
            let places = bed.prints("grep ' /mnt' /proc/self/mounts | cut -d ' ' -f 2")?;
            same(&places, &"/mnt\n/mnt/below\n/mnt/below/more".to_owned())
        },
    },
    Case {
        name: "destinations that are missing are made",
        clause: "config.md, Mounts: destination; as runc does",
        check: |bed| {
            let file = bed.file("one");
            fs::write(&file, "one\n").unwrap();
            bed.mount(json!({
                "destination": "/a/b/file", "type": "bind", "source": file, "options": ["bind", "ro"],
            }));
            bed.mount(json!({ "destination": "/a/c/d", "type": "tmpfs", "source": "tmpfs" }));
            same(&bed.prints("cat /a/b/file; ls /a")?, &"one\nb\nc".to_owned())
        },
    },
    Case {
        name: "options of a bind mount hold",
        clause: "config.md, Linux mount options: ro, nosuid, nodev, noexec, noatime, …",
        check: |bed| {
            bound(bed, &["bind", "ro", "nosuid", "nodev", "noexec", "noatime"]);
            has(&options_of(bed, "/mnt")?, &["ro", "nosuid", "nodev", "noexec", "noatime"])?;
            says(&bed.sh("touch /mnt/x").err, "Read-only")
        },
    },
    Case {
        name: "of two words that exclude each other the last one holds",
        clause: "config.md, Linux mount options",
        check: |bed| {
            bound(bed, &["bind", "ro", "rw", "noexec", "exec"]);
            let options = options_of(bed, "/mnt")?;
            has(&options, &["rw"])?;
            same(&options.contains("noexec"), &false)
        },
    },
    Case {
        name: "a bind mount alone has nothing of what is mounted below",
        clause: "config.md, Linux mount options: bind",
        check: |bed| {
            let source = bound(bed, &["bind"]);
            let _below = Below::new(&source);
            same(&bed.prints("grep -c ' /mnt/below ' /proc/self/mounts || true")?, &"0".to_owned())
        },
    },
    Case {
        name: "a recursive bind mount has it",
        clause: "config.md, Linux mount options: rbind",
        check: |bed| {
            let source = bound(bed, &["rbind"]);
            let _below = Below::new(&source);
            same(&bed.prints("grep -c ' /mnt/below ' /proc/self/mounts")?, &"1".to_owned())
        },
    },
    Case {
        name: "ro is about the mount itself, rro about all below it",
        clause: "config.md, Linux mount options: rro",
        check: |bed| {
            let source = bound(bed, &["rbind", "ro"]);
            let _below = Below::new(&source);
            has(&options_of(bed, "/mnt/below")?, &["rw"])?;
            bed.config(|c| {
                let last = c["mounts"].as_array_mut().unwrap().last_mut().unwrap();
                last["options"] = json!(["rbind", "rro"]);
            });
            has(&options_of(bed, "/mnt/below")?, &["ro"])
        },
    },
    Case {
        name: "a new file system has its parameters and its options",
        clause: "config.md, Mounts: type, options",
        check: |bed| {
            bed.mount(json!({
                "destination": "/t", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "noexec", "size=1024k", "mode=700"],
            }));
            has(&options_of(bed, "/t")?, &["nosuid", "noexec", "size=1024k", "mode=700"])
        },
    },
    Case {
        name: "a read-only tmpfs may have other mounts in it",
        clause: "config.md, Mounts: options ro; as runc does",
        check: |bed| {
            bed.mount(json!({
                "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["ro"],
            }));
            bed.mount(json!({ "destination": "/t/in", "type": "tmpfs", "source": "tmpfs" }));
            same(&bed.sh("touch /t/in/x && touch /t/x").code, &1)?;
            has(&options_of(bed, "/t")?, &["ro"])
        },
    },
    Case {
        name: "what a tmpfs covers can be copied into it",
        clause: "config.md, Linux mount options: tmpcopyup",
        check: |bed| {
            let dir = bed.rootfs().join("t/deep");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("file"), "text\n").unwrap();
            std::os::unix::fs::symlink("file", dir.join("link")).unwrap();
            bed.mount(json!({
                "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"],
            }));
            same(&bed.prints("cat /t/deep/link; echo more >> /t/deep/file")?, &"text".to_owned())?;
            same(&fs::read_to_string(dir.join("file")).unwrap(), &"text\n".to_owned())
        },
    },
    Case {
        name: "an option that nobody knows is an error",
        clause: "config.md, Mounts: options are filesystem-specific",
        check: |bed| {
            bed.mount(json!({
                "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["no-such-word"],
            }));
            bed.run().fails("")
        },
    },
    Case {
        name: "a bind mount of what is not there is an error",
        clause: "config.md, Mounts: source",
        check: |bed| {
            bed.mount(json!({
                "destination": "/t", "type": "bind", "source": "/no/such/thing", "options": ["bind"],
            }));
            bed.run().fails("/no/such/thing")
        },
    },
    Case {
        name: "the propagation of a mount is as given",
        clause: "config.md, Linux mount options: rprivate, rshared, rslave, runbindable",
        check: |bed| {
            for (word, shown) in [("rshared", "shared:"), ("rprivate", " - "), ("private", " - ")] {
                let bed = Bed::new(bed.runtime.clone());
                bound(&bed, &["bind", word]);
                let line = bed.prints("grep ' /mnt ' /proc/self/mountinfo | cut -d ' ' -f 7-")?;
                let held = if shown == " - " {
                    same(&line.starts_with("- "), &true)
                } else {
                    says(&line, shown)
                };
                held.map_err(|why| format!("{word}: {why}"))?;
                bed.end()?;
            }
            Ok(())
        },
    },
    Case {
        name: "the usual devices and links are there",
        clause: "config-linux.md, Default Devices; runtime-linux.md, Dev symbolic links",
        check: |bed| {
            let script = "for d in null zero full random urandom tty ptmx; do test -c /dev/$d || echo no $d; \
                done; for l in fd stdin stdout stderr; do readlink /dev/$l; done; echo x > /dev/null";
            let seen = bed.prints(script)?;
            let links = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2";
            same(&seen, &links.to_owned())
        },
    },
    Case {
        name: "the cgroups that are shown are the container's own",
        clause: "config-linux.md, Default Filesystems; mounts of type cgroup",
        check: |bed| {
            bed.mount(json!({
                "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            }));
            let script = "f=$(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -n 1); \
                grep -c . $f; head -n 1 $f; mkdir $(dirname $f)/x 2>/dev/null || echo kept";
            let seen = bed.prints(script)?;
            says(&seen, "\n1\n")?;
            says(&seen, "kept")
        },
    },
    Case {
        name: "the propagation of the root is as given",
        clause: "config-linux.md, Rootfs Mount Propagation",
        check: |bed| {
            for (word, wanted) in [("private", "- "), ("shared", "shared:"), ("slave", "")] {
                let bed = Bed::new(bed.runtime.clone());
                bed.config(|c: &mut Value| c["linux"]["rootfsPropagation"] = json!(word));
                let line = bed.prints(
                    "grep ' / / \\| / rw' /proc/self/mountinfo | head -n 1 | cut -d ' ' -f 7-",
                )?;
                same(&line.starts_with(wanted), &true).map_err(|_| format!("{word}: {line}"))?;
                bed.end()?;
            }
            bed.config(|c| c["linux"]["rootfsPropagation"] = json!("sideways"));
            bed.run().fails("sideways")
        },
    },
    Case {
        name: "without pivot_root the host's files are gone as well",
        clause: "runc's command line: --no-pivot",
        check: |bed| {
            bed.script("ls /; ls / | grep -c vmlinuz; true");
            let seen = bed.verb(&["run", "--no-pivot", bed.id()]).well()?;
            same(&seen, &"bin\ndev\netc\nproc\nroot\nsys\ntmp\n0".to_owned())
        },
    },
];
