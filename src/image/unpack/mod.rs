//! Turning the archive of a layer into a directory that overlayfs can stack.
//!
//! Everything goes through directory descriptors of the layer's own root: no name of an archive is
//! ever resolved by the kernel from anywhere else, and no symbolic link is followed by it. What a
//! path means is found out one name at a time, in the layer and the layers below it.

mod apply;
mod attributes;
mod merged;
mod place;
mod settle;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use apply::{Applied, Applier, Halt};
pub(crate) use attributes::{copy_attributes, look, stat_times, xattrs};
pub(crate) use merged::{DIRECTORY, FILE, Merged, MergedDir, Node, child};
pub(crate) use settle::{settle, settle_alone};

/// The prefix of the names by which a layer says that something is gone.
const WHITEOUT: &[u8] = b".wh.";
/// The name by which a layer says that nothing below a directory shows through.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// How overlayfs knows the same.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
/// The most symbolic links on the way to one file, as in the kernel.
const LINKS: usize = 40;
