//! The network of a host on the real kernel, each test in a network namespace of its own.

mod host;
mod paths;
mod publishing;
mod sandboxes;
mod upkeep;
