//! The words of `mounts[].options`, as data.

use crate::sys::mounts::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// `MOUNT_ATTR_…` that the kernel's headers have beside those in `sys`.
const NO_ATIME: u64 = 0x10;
const STRICT_ATIME: u64 = 0x20;
const ATIME: u64 = 0x70;
const NO_DIR_ATIME: u64 = 0x80;
const NO_SYM_FOLLOW: u64 = 0x0020_0000;

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// `MOUNT_ATTR_…` to set and to clear.
    Attribute(u64, u64),
    /// The same for the mount and all below it.
    Recursive(u64, u64),
    /// `MS_SHARED` and the like, perhaps with `MS_REC`.
    Propagation(u64),
    /// A bind mount; whether with what is mounted below.
    Bind(bool),
    /// Seen through the user namespace; whether with what is mounted below.
    IdMap(bool),
    /// What is covered is copied into it.
    CopyUp,
    /// The file system itself, not the mount: a flag of `fsconfig`.
    FileSystem(&'static str),
    /// What is so anyway.
    Nothing,
}

/// What a word means; `None` is a parameter of the file system.
pub(super) fn meaning(word: &str) -> Option<Meaning> {
    use Meaning::{Attribute, Bind, CopyUp, FileSystem, IdMap, Nothing, Propagation, Recursive};
    if let Some((set, clear)) = attribute(word) {
        return Some(Attribute(set, clear));
    }
    if let Some((set, clear)) = word.strip_prefix('r').and_then(attribute) {
        return Some(Recursive(set, clear));
    }
    if let Some(propagation) = propagation(word) {
        return Some(Propagation(propagation));
    }
    Some(match word {
        "bind" => Bind(false),
        "rbind" => Bind(true),
        "idmap" => IdMap(false),
        "ridmap" => IdMap(true),
        "tmpcopyup" => CopyUp,
        "sync" => FileSystem("sync"),
        "dirsync" => FileSystem("dirsync"),
        "lazytime" => FileSystem("lazytime"),
        "mand" => FileSystem("mand"),
        "defaults" | "async" | "nomand" | "nolazytime" | "loud" | "silent" | "remount"
        | "noiversion" => Nothing,
        _ => return None,
    })
}

fn attribute(word: &str) -> Option<(u64, u64)> {
    Some(match word {
        "ro" => (READ_ONLY, 0),
        "rw" => (0, READ_ONLY),
        "nosuid" => (NO_SUID, 0),
        "suid" => (0, NO_SUID),
        "nodev" => (NO_DEV, 0),
        "dev" => (0, NO_DEV),
        "noexec" => (NO_EXEC, 0),
        "exec" => (0, NO_EXEC),
        "noatime" => (NO_ATIME, ATIME),
        "strictatime" => (STRICT_ATIME, ATIME),
        // `relatime` is the kernel's own default, and 0.
        "atime" | "relatime" | "norelatime" | "nostrictatime" => (0, ATIME),
        "nodiratime" => (NO_DIR_ATIME, 0),
        "diratime" => (0, NO_DIR_ATIME),
        "nosymfollow" => (NO_SYM_FOLLOW, 0),
        "symfollow" => (0, NO_SYM_FOLLOW),
        _ => return None,
    })
}

/// `MS_SHARED` and the like, perhaps with `MS_REC`.
pub(super) fn propagation(word: &str) -> Option<u64> {
    Some(match word {
        "shared" => libc::MS_SHARED,
        "rshared" => libc::MS_SHARED | libc::MS_REC,
        "slave" => libc::MS_SLAVE,
        "rslave" => libc::MS_SLAVE | libc::MS_REC,
        "private" => libc::MS_PRIVATE,
        "rprivate" => libc::MS_PRIVATE | libc::MS_REC,
        "unbindable" => libc::MS_UNBINDABLE,
        "runbindable" => libc::MS_UNBINDABLE | libc::MS_REC,
        _ => return None,
    })
}

/// All words, for `features`.
pub(in crate::runtime::oci) const ALL: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];
