//! One entry of an archive.

use std::time::Duration;

use super::Segment;

/// What an archive says of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its path as written.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// The target of a link; empty otherwise.
    pub(crate) link: Vec<u8>,
    /// Permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// When it was changed last, since the epoch.
    pub(crate) mtime: Duration,
    /// The bytes of the file when unpacked.
    pub(crate) size: u64,
    /// Where the stored bytes go, when the file has holes.
    pub(crate) segments: Option<Vec<Segment>>,
    /// Extended attributes.
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// What kind of file an entry is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of a file.
    HardLink,
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
}
