//! The words orca speaks: what a user wants, what was agreed, what a host has.
//!
//! Plain values that can be written down and read back. Nothing here reads a clock, a file or a
//! socket, and nothing here waits.

mod agreed;
mod bytes;
mod container;
mod health;
mod id;
mod image;
mod instance;
mod login;
mod network;
mod observed;
mod project;
mod resources;
mod status;
mod time;
mod transfer;
mod user_pool;
mod users;

pub use agreed::*;
pub use bytes::*;
pub use container::*;
pub use health::*;
pub use id::*;
pub use image::*;
pub use instance::*;
pub use login::*;
pub use network::*;
pub use observed::*;
pub use project::*;
pub use resources::*;
pub use status::*;
pub use time::*;
pub use transfer::*;
pub use user_pool::UserPool;
pub use users::*;
