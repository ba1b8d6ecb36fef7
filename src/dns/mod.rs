//! Names: pure tables, a server inside each sandbox, and a forwarder for the rest.
//!
//! It is handed a table and never asks. What a name means is decided in [`answer`], a pure function;
//! the rest moves packets. A message is read and written with `hickory-proto`; the server is our own,
//! because what is forwarded must come back byte for byte (with its authority records, its AD bit and
//! types nobody knows yet), and because everything here has a limit.

mod forward;
mod lookup;
mod message;
mod resolv_conf;
mod resolvers;
mod server;
mod tcp;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod upstream;
mod view;

pub use lookup::{Answer, Question, TTL, answer};
pub use resolvers::Resolvers;
pub use view::View;
