//! Copying files in and out of containers.

/// What is copied out of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOut {
    /// The path in the container. With `/.` at its end the content of a directory is meant.
    pub path: String,
    /// Whether a link at the end of the path is followed.
    pub follow: bool,
}

/// What a copy out of a container begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyFound {
    /// Whether it is a directory.
    pub directory: bool,
    /// The name of the archive's first entry.
    pub name: String,
}

/// How an archive is copied into a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyIn {
    /// The path in the container.
    pub path: String,
    /// What the archive's first entry is.
    pub source: CopySource,
    /// Whether owners and special files are kept as the archive says; else all is root's.
    pub archive: bool,
}

/// What an archive that is copied into a container holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CopySource {
    /// One file.
    #[default]
    File,
    /// A directory, which is to be at the path, or in the directory there.
    Directory,
    /// A directory whose content is to be in the directory at the path.
    Content,
    /// Anything: it is unpacked in the directory at the path.
    Archive,
}
