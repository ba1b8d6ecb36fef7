//! Containers: namespaces, cgroups, mounts, and the processes that watch over them.
//!
//! Knows nothing of services, images by name, or networks: it is handed paths and namespaces.

pub mod capabilities;
pub mod cgroup;
pub mod log;
pub mod seccomp;
pub mod users;
