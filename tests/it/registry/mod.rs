//! Registries: a real one, with the programs of others at the other end.

mod access;
mod commands;
mod faults;
mod killed;
mod peers;
mod policy;
mod pressure;
mod server;
mod store;
mod token;
