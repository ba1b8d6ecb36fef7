//! The runtime: containers from start to end.

mod advisories;
mod bed;
mod confinement;
mod exec;
mod faults;
mod life;
mod mounts;
mod settings;
mod users;
mod versions;
