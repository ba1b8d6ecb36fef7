//! A client of image registries: the OCI distribution protocol over HTTP/1.1.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! Blocking: each transfer has a thread of its own, whose bytes go straight into the store.

mod auth;
mod credentials;
mod download;
mod http;
mod pull;
mod push;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod trouble;
mod url;

pub use credentials::{Credentials, Logins};
pub use settings::{Progress, Registries, Silent, Timeouts, Watcher};
