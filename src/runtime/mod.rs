//! Containers: namespaces, cgroups, mounts, and the processes that watch over them.
//!
//! Knows nothing of services, images by name, or networks: it is handed paths and namespaces.
//!
//! Three kinds of process take part. The daemon holds a [`Runtime`] (`client/`): it works out
//! everything about a start beforehand (`compile/`) and hands it over as bytes (`plan/`). The
//! launcher (`launcher/`) is small and has one thread; it copies itself into one shim for each
//! container (`shim/`), which makes the container's first process (`init/`), holds its output, and
//! writes down how it ended (`record/`). A daemon that comes back finds the shims by their sockets.

pub mod capabilities;
mod cdi;
pub mod cgroup;
pub mod client;
mod compile;
mod exec;
mod first;
mod hooks;
mod init;
pub mod launcher;
pub mod log;
pub mod oci;
mod plan;
mod protocol;
mod record;
pub mod seccomp;
mod shim;
pub mod users;
mod wire;

pub use client::*;
