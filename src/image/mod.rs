//! Images: the content-addressed store, its archives, and root file systems made from it.
//!
//! Never starts anything.

mod archive;
mod budget;
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
mod lease;
mod limits;
mod load;
mod manage;
mod pack;
mod prune;
mod reference;
pub mod registry;
mod roots;
mod save;
mod settling;
mod spool;
mod staging;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;
mod usage;

pub use budget::Budget;
pub use builtin::{BUILTIN, is_builtin};
pub use config::HistoryEntry;
pub use error::ImageError;
pub use import::Import;
pub use lease::Hold;
pub use limits::Limits;
pub use load::Loaded;
pub use manage::{ImageSummary, Removed};
pub use pack::{pack, unpack_into};
pub use prune::Pruned;
pub use reference::Reference;
pub use save::Format;
pub use store::{Image, Store};
pub use usage::{DiskUsage, ImageUsage};
