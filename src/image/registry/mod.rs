//! A client of image registries: the OCI distribution protocol over HTTP/1.1.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>
//!
//! Blocking: each transfer has a thread of its own, whose bytes go straight into the store.

mod auth;
mod configuration;
mod connect;
mod digests;
mod download;
mod http;
mod memory;
mod policy;
mod proxy;
mod pull;
mod push;
mod session;
mod settings;
mod signature;
#[cfg(test)]
mod tests;
mod tls;
mod trouble;
mod url;

pub use configuration::Configuration;
pub use memory::Memory;
pub use policy::Policy;
pub use proxy::Proxies;
pub use pull::{Pulled, Wish};
pub use settings::{Registries, Silent, Timeouts, Watcher};
