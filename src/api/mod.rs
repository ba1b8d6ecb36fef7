//! The gRPC interface of the daemon, and its conversions. The only room that knows protobuf.

pub mod control;

pub use control::{Control, ControlError, ErrorKind};
