//! The attempts. Each says how it was refused; `reached` is the word that must not be heard.

use std::ffi::{CString, c_int, c_long, c_ulong};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::network;

/// What of the host is tried, from [`super::INSIDE`]: words of the form `key=value`.
pub(crate) struct Target {
    words: Vec<(String, String)>,
}

impl Target {
    fn read() -> Self {
        let text = std::env::var(super::INSIDE).unwrap_or_default();
        let pair = |word: &str| word.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self { words: text.split_whitespace().filter_map(pair).collect() }
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        self.words.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v)
    }

    fn number(&self, key: &str) -> i32 {
        self.get(key).parse().unwrap()
    }
}

/// `Ok` is what was reached; an error is how it was refused.
pub(crate) type Attempt = io::Result<String>;

type Named = (&'static str, fn(&Target) -> Attempt);

/// All of them.
pub(crate) const ATTEMPTS: &[Named] = &[
    // Files of the host.
    ("open a file by its handle", open_by_handle),
    ("leave the root with chroot", leave_with_chroot),
    ("leave the root by a descriptor", leave_by_descriptor),
    ("find a directory of the host open", leaked_directory),
    ("mount a tmpfs", |_| mount("tmpfs", "/tmp", "tmpfs", 0)),
    ("mount a new proc", |_| mount("proc", "/tmp", "proc", 0)),
    ("mount a new sysfs", |_| mount("sysfs", "/tmp", "sysfs", 0)),
    ("bind what is there already", |_| mount("/proc", "/tmp", "", 4096)),
    ("make the mounts shared", |_| mount("", "/", "", 0x10_4000)),
    ("make /proc/sys writable", |_| mount("", "/proc/sys", "", 0x1020)),
    ("take the cover off /proc/kcore", |_| unmount("/proc/kcore")),
    ("take the cover off /sys/firmware", |_| unmount("/sys/firmware")),
    ("open a file system", |_| number(unsafe { libc::syscall(430, c"tmpfs".as_ptr(), 0) })),
    ("clone a mount", |_| number(unsafe { libc::syscall(428, -100, c"/".as_ptr(), 1) })),
    ("change a mount's attributes", mount_setattr),
    ("pivot the root", |_| {
        asked(unsafe { libc::syscall(libc::SYS_pivot_root, c"/".as_ptr(), c"/".as_ptr()) })
    }),
    // Devices.
    ("make the host's disk", |target| make_device(libc::S_IFBLK, target, "/tmp/disk")),
    ("make the memory device", |_| make_and_open(libc::S_IFCHR, (1, 1), "/tmp/mem")),
    ("make the log device", |_| make_and_open(libc::S_IFCHR, (1, 11), "/tmp/kmsg")),
    ("open the log of the kernel", |_| open("/dev/kmsg")),
    ("open the memory", |_| open("/dev/mem")),
    ("open the ports", |_| open("/dev/port")),
    ("open fuse", |_| open("/dev/fuse")),
    ("have the ports by iopl", |_| number(unsafe { libc::syscall(libc::SYS_iopl, 3) })),
    ("have a port by ioperm", |_| number(unsafe { libc::syscall(libc::SYS_ioperm, 0x70, 1, 1) })),
    // Processes.
    ("signal a process of the host", |target| {
        number(unsafe { libc::syscall(libc::SYS_kill, target.number("pid"), 0) })
    }),
    ("trace a process of the host", trace),
    ("have a handle on a process of the host", |target| {
        number(unsafe { libc::syscall(libc::SYS_pidfd_open, target.number("pid"), 0) })
    }),
    ("read the memory of a process of the host", read_memory),
    ("read the environment of a process of the host", |target| {
        read(&format!("/proc/{}/environ", target.get("pid")))
    }),
    ("see the root of another service", |target| {
        read(&format!("/proc/{}/root/etc/passwd", target.get("pid")))
    }),
    ("write orca's executable", |_| write("/proc/1/exe", "x")),
    // Knobs of the kernel.
    ("write the core pattern", |_| write("/proc/sys/kernel/core_pattern", "|/tmp/x")),
    ("write the path of modprobe", |_| write("/proc/sys/kernel/modprobe", "/tmp/x")),
    ("write binfmt_misc", |_| write("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/tmp/x:")),
    ("write a setting of memory", |_| write("/proc/sys/vm/overcommit_memory", "1")),
    ("write a setting of the network", |_| write("/proc/sys/net/ipv4/ip_forward", "1")),
    ("write sysrq", |_| write("/proc/sysrq-trigger", "h")),
    ("write the uevent helper", |_| write("/sys/kernel/uevent_helper", "/tmp/x")),
    ("write a setting of a device", |_| write("/sys/class/net/lo/mtu", "1400")),
    ("write the settings of huge pages", |_| {
        write("/sys/kernel/mm/transparent_hugepage/enabled", "always")
    }),
    ("read the memory by /proc/kcore", |_| read("/proc/kcore")),
    ("read the keys", |_| read("/proc/keys")),
    ("read the timers", |_| read("/proc/timer_list")),
    ("read the symbols", |_| read("/proc/kallsyms")),
    ("see the firmware", |_| entries("/sys/firmware")),
    ("see the debug files", |_| entries("/sys/kernel/debug")),
    ("see the trace files", |_| entries("/sys/kernel/tracing")),
    ("load a module", |_| {
        asked(unsafe { libc::syscall(libc::SYS_init_module, 0, 0, c"".as_ptr()) })
    }),
    ("load a module from a file", |_| {
        asked(unsafe { libc::syscall(libc::SYS_finit_module, 0, c"".as_ptr(), 0) })
    }),
    ("unload a module", |_| {
        asked(unsafe { libc::syscall(libc::SYS_delete_module, c"none-such".as_ptr(), 0) })
    }),
    ("load a kernel", |_| asked(unsafe { libc::syscall(libc::SYS_kexec_load, 0, 0, 0, 0) })),
    // Ctrl-Alt-Del on: what it is already. Nothing happens where it is allowed.
    ("reboot", |_| {
        number(unsafe {
            libc::syscall(libc::SYS_reboot, 0xfee1_dead_u32, 672_274_793, 0x89ab_cdef_u32, 0)
        })
    }),
    ("turn swapping off", |_| {
        asked(unsafe { libc::syscall(libc::SYS_swapoff, c"/tmp/none".as_ptr()) })
    }),
    ("turn accounting off", |_| number(unsafe { libc::syscall(libc::SYS_acct, 0) })),
    ("set the clock", set_clock),
    ("set the host's name", |_| {
        number(unsafe { libc::syscall(libc::SYS_sethostname, c"box".as_ptr(), 3) })
    }),
    ("read the kernel's log", |_| {
        let mut buffer = [0_u8; 64];
        number(unsafe { libc::syscall(libc::SYS_syslog, 3, buffer.as_mut_ptr(), 64) })
    }),
    ("load a program into the kernel", bpf),
    ("count the events of the processor", perf_event),
    ("handle page faults", |_| number(unsafe { libc::syscall(libc::SYS_userfaultfd, 0x80000) })),
    ("use io_uring", io_uring),
    ("add a key", |_| {
        number(unsafe {
            libc::syscall(
                libc::SYS_add_key,
                c"user".as_ptr(),
                c"probe".as_ptr(),
                c"x".as_ptr(),
                1,
                -3,
            )
        })
    }),
    ("use the keyring", |_| asked(unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 1) })),
    ("watch the file system", |_| number(unsafe { libc::syscall(libc::SYS_fanotify_init, 0, 0) })),
    // Namespaces.
    ("make a user namespace", |_| unshare(libc::CLONE_NEWUSER)),
    ("make a mount namespace", |_| unshare(libc::CLONE_NEWNS)),
    ("make a network namespace", |_| unshare(libc::CLONE_NEWNET)),
    ("make a pid namespace", |_| unshare(libc::CLONE_NEWPID)),
    ("make a cgroup namespace", |_| unshare(libc::CLONE_NEWCGROUP)),
    ("be born in a user namespace", born_in_a_user_namespace),
    ("be born by clone3", born_by_clone3),
    ("enter a namespace", enter_a_namespace),
    // Cgroups.
    ("make a cgroup", |_| make_cgroup()),
    ("leave the cgroup", |_| in_cgroups("cgroup.procs", "0")),
    ("write the release agent", |_| in_cgroups("release_agent", "/tmp/x")),
    ("allow all devices", |_| in_cgroups("devices.allow", "a *:* rwm")),
    ("raise the limit of memory", |_| in_cgroups("memory.limit_in_bytes", "-1")),
    ("mount a cgroup hierarchy", |_| mount("cgroup", "/tmp", "cgroup", 0)),
    ("mount the cgroups", |_| mount("cgroup2", "/tmp", "cgroup2", 0)),
    // The network.
    ("make a link", network::make_a_link),
    ("set a link down", network::set_a_link_down),
    ("change the rules of the firewall", network::change_the_rules),
    ("reach a port of the host's loopback", network::reach_the_hosts_loopback),
    ("reach an abstract socket of the host", network::reach_an_abstract_socket),
    ("reach a service of another network", network::reach_another_network),
    ("learn the address of a service of another network", network::learn_a_name),
    ("reach the host of a virtual machine", network::reach_the_hypervisor),
];

/// Runs them and says of each what came of it.
pub(crate) fn run_all() {
    let target = Target::read();
    for (name, attempt) in ATTEMPTS {
        // Each in a process of its own: one may end it, or change what the next finds.
        let out = in_a_child(|| match attempt(&target) {
            Ok(what) => format!("reached\t{name}\t{what}"),
            Err(error) => format!("refused\t{name}\t{error}"),
        });
        println!("{}", out.unwrap_or_else(|| format!("refused\t{name}\tended by the kernel")));
    }
    println!("done\t{}", ATTEMPTS.len());
}

fn in_a_child(work: impl FnOnce() -> String) -> Option<String> {
    let (mut read, mut write) = io::pipe().unwrap();
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        0 => {
            drop(write.write_all(work().as_bytes()));
            // SAFETY: it ends here, without destructors of the parent's.
            unsafe { libc::_exit(0) }
        }
        child => {
            drop(write);
            let mut text = String::new();
            drop(read.read_to_string(&mut text));
            // SAFETY: it is a child of this process.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            Some(text).filter(|text| !text.is_empty())
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

pub(crate) fn number(result: c_long) -> Attempt {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}

/// A call that cannot succeed as it is made: every other error than one of rights is a success.
fn asked(result: c_long) -> Attempt {
    const REFUSALS: [i32; 4] = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ESRCH];
    match number(result) {
        Err(error) if !error.raw_os_error().is_some_and(|number| REFUSALS.contains(&number)) => {
            Ok(format!("it came as far as: {error}"))
        }
        other => other,
    }
}

fn open(path: &str) -> Attempt {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    Ok(path.to_owned())
}

/// Something must come: a file that shows nothing is as good as none.
fn read(path: &str) -> Attempt {
    let mut bytes = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    if bytes.is_empty() { Err(refused("it is empty")) } else { Ok(bytes.len().to_string()) }
}

fn write(path: &str, text: &str) -> Attempt {
    // What is there is written back, so that nothing changes where it is allowed.
    let before = fs::read_to_string(path).unwrap_or_default();
    let text = if before.trim().is_empty() || before.len() > 4096 { text } else { before.trim() };
    let mut file = OpenOptions::new().write(true).open(path)?;
    if path.starts_with("/proc/sys/") || path.starts_with("/sys/") {
        file.write_all(text.as_bytes())?;
    }
    Ok(path.to_owned())
}

fn entries(path: &str) -> Attempt {
    match fs::read_dir(path)?.count() {
        0 => Err(refused("it is empty")),
        count => Ok(count.to_string()),
    }
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn mount(source: &str, target: &str, kind: &str, flags: c_ulong) -> Attempt {
    let (source, target, kind) = (text(source), text(target), text(kind));
    let none = std::ptr::null();
    number(c_long::from(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, none)
    }))
}

fn unmount(target: &str) -> Attempt {
    let target = text(target);
    number(c_long::from(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }))
}

fn mount_setattr(_: &Target) -> Attempt {
    let attributes = [0_u64, 1, 0, 0];
    number(unsafe { libc::syscall(442, -100, c"/proc/sys".as_ptr(), 0, attributes.as_ptr(), 32) })
}

/// As in the "shocker" of 2014: inode 2 is the root of most file systems of a disk.
fn open_by_handle(_: &Target) -> Attempt {
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        inode: u32,
        generation: u32,
    }
    let mut handle = Handle { bytes: 8, kind: 1, inode: 2, generation: 0 };
    let place = File::open("/etc/hosts")?;
    let place = std::os::fd::AsRawFd::as_raw_fd(&place);
    asked(unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, place, &raw mut handle, libc::O_RDONLY)
    })
}

fn leave_with_chroot(target: &Target) -> Attempt {
    fs::create_dir_all("/tmp/inner")?;
    let outer = File::open("/")?;
    std::os::unix::fs::chroot("/tmp/inner")?;
    number(c_long::from(unsafe { libc::fchdir(std::os::fd::AsRawFd::as_raw_fd(&outer)) }))?;
    for _ in 0..64 {
        std::env::set_current_dir("..")?;
    }
    std::os::unix::fs::chroot(".")?;
    // The marker lies in a directory of the host that no container has.
    open(target.get("marker"))
}

fn leave_by_descriptor(target: &Target) -> Attempt {
    for descriptor in 0..64 {
        let path = format!("/proc/self/fd/{descriptor}/../../../../..{}", target.get("marker"));
        if Path::new(&path).exists() {
            return Ok(path);
        }
    }
    Err(refused("none leads there"))
}

fn leaked_directory(_: &Target) -> Attempt {
    for entry in fs::read_dir("/proc/self/fd")?.flatten() {
        let shown = fs::read_link(entry.path()).unwrap_or_default();
        let own = entry.path().metadata().is_ok_and(|data| data.is_dir());
        if own && !shown.starts_with("/proc/") {
            return Ok(shown.display().to_string());
        }
    }
    Err(refused("none is open"))
}

fn make_device(kind: libc::mode_t, target: &Target, path: &str) -> Attempt {
    let (major, minor) = target.get("disk").split_once(':').unwrap();
    make_and_open(kind, (major.parse().unwrap(), minor.parse().unwrap()), path)
}

fn make_and_open(kind: libc::mode_t, (major, minor): (u32, u32), path: &str) -> Attempt {
    drop(fs::remove_file(path));
    let name = text(path);
    let device = libc::makedev(major, minor);
    number(c_long::from(unsafe { libc::mknod(name.as_ptr(), kind | 0o600, device) }))?;
    let opened = open(path);
    fs::remove_file(path)?;
    opened
}

fn trace(target: &Target) -> Attempt {
    // PTRACE_SEIZE stops nothing, and the end of this process takes it back.
    number(unsafe { libc::ptrace(0x4206, target.number("pid"), 0, 0) })
}

fn read_memory(target: &Target) -> Attempt {
    let pid = target.number("pid");
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(4096), iov_len: 1 };
    let done = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    // That page may not be there: then it was looked for.
    asked(c_long::try_from(done).unwrap())
}

fn set_clock(_: &Target) -> Attempt {
    // SAFETY: all zeroes is a valid `timex`. The time is set to be as long as it is.
    let mut now: libc::timex = unsafe { std::mem::zeroed() };
    unsafe { libc::syscall(libc::SYS_adjtimex, &raw mut now) };
    now.modes = 0x4000; // ADJ_TICK
    asked(unsafe { libc::syscall(libc::SYS_adjtimex, &raw mut now) })
}

fn bpf(_: &Target) -> Attempt {
    // BPF_MAP_CREATE of an array of one number.
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
    number(unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), 128) })
}

fn perf_event(_: &Target) -> Attempt {
    // A software event: the task clock of this process, kernel included.
    let mut attributes = [0_u64; 16];
    attributes[0] = 1 | (128 << 32);
    attributes[1] = 1;
    number(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })
}

fn io_uring(_: &Target) -> Attempt {
    let mut parameters = [0_u8; 256];
    number(unsafe { libc::syscall(libc::SYS_io_uring_setup, 2, parameters.as_mut_ptr()) })
}

fn unshare(flags: c_int) -> Attempt {
    number(c_long::from(unsafe { libc::unshare(flags) }))
}

fn born_in_a_user_namespace(_: &Target) -> Attempt {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
        0 => unsafe { libc::_exit(0) },
        result => number(result),
    }
}

fn born_by_clone3(_: &Target) -> Attempt {
    let mut arguments = [0_u64; 11];
    arguments[0] = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    arguments[4] = 17;
    match unsafe { libc::syscall(libc::SYS_clone3, arguments.as_mut_ptr(), 88) } {
        0 => unsafe { libc::_exit(0) },
        result => number(result),
    }
}

fn enter_a_namespace(_: &Target) -> Attempt {
    let own = File::open("/proc/1/ns/uts")?;
    number(c_long::from(unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&own), 0) }))
}

/// All hierarchies that are shown; the first in which it works.
fn hierarchies() -> Vec<std::path::PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let below = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = below.filter(|path| path.is_dir()).collect();
    all.push(top.to_owned());
    all
}

fn in_cgroups(file: &str, text: &str) -> Attempt {
    let mut last = refused("there is none");
    for hierarchy in hierarchies() {
        let path = hierarchy.join(file);
        match OpenOptions::new().write(true).open(&path) {
            Ok(mut file) => {
                // Nothing is to change where it is allowed: that it opens is enough, but for those
                // that the kernel asks about at the write.
                if path.ends_with("cgroup.procs") {
                    file.write_all(text.as_bytes())?;
                }
                return Ok(path.display().to_string());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn make_cgroup() -> Attempt {
    let mut last = refused("there is none");
    for hierarchy in hierarchies() {
        let path = hierarchy.join("probe");
        match fs::create_dir(&path) {
            Ok(()) => {
                fs::remove_dir(&path)?;
                return Ok(path.display().to_string());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
