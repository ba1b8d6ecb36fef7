//! The gRPC interface of the daemon, and its conversions. The only room that knows protobuf.
//!
//! [`control`] is what a daemon can do, [`server`] lets others ask for it over a unix socket,
//! [`client`] asks. Both ends speak in the plain values of [`message`] and the model.

pub mod client;
pub mod control;
mod convert;
pub mod message;
mod narrow;
mod proto;
pub mod server;

pub use client::{Client, ClientError};
pub use control::{Control, ControlError, ErrorKind};
pub use message::*;
