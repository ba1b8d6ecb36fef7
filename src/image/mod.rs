//! Images: the content-addressed store, its archives, and root file systems made from it.
//!
//! Never starts anything.

mod archive;
mod builtin;
mod config;
mod decode;
mod disk;
mod docker;
mod document;
mod error;
mod files;
mod import;
mod index;
mod ingest;
mod layers;
mod layout;
mod limits;
mod load;
mod manage;
mod prune;
mod reference;
pub mod registry;
mod roots;
mod save;
mod spool;
mod staging;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;

pub use builtin::{BUILTIN, is_builtin};
pub use config::HistoryEntry;
pub use error::ImageError;
pub use limits::Limits;
pub use load::Loaded;
pub use manage::{ImageSummary, Removed};
pub use prune::{DiskUsage, Pruned};
pub use reference::Reference;
pub use save::Format;
pub use store::{Image, Store};
