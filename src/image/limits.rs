//! How large things may be.

/// What a layer may hold. Generous for real images, small enough that a hostile one cannot fill the
/// disk or the memory unnoticed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files, directories and links in one layer.
    pub entries: u64,
    /// Bytes of the files of one layer.
    pub bytes: u64,
    /// Bytes of one path.
    pub path: usize,
    /// Directories above a file.
    pub depth: usize,
    /// Bytes out for each byte in, of a compressed layer; counts once more than `ratio_from` came out.
    pub ratio: u64,
    /// See `ratio`.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 256 << 30,
            path: 4096,
            depth: 256,
            ratio: 500,
            ratio_from: 2 << 30,
        }
    }
}

/// The longest manifest, index or configuration, in bytes.
pub(crate) const DOCUMENT: u64 = 8 << 20;

/// The most layers of an image: what overlayfs can stack.
pub(crate) const LAYERS: usize = 500;
