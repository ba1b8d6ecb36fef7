//! One file for each command, or for a few that are nearly the same.

pub(super) mod check;
pub(super) mod completion;
pub(super) mod config;
pub(super) mod containers;
pub(super) mod create;
pub(super) mod daemon;
pub(super) mod down;
pub(super) mod events;
pub(super) mod exec;
mod follow;
pub(super) mod image;
pub(super) mod images;
pub(super) mod logs;
pub(super) mod ls;
pub(super) mod network;
pub(super) mod plan;
pub(super) mod port;
pub(super) mod ps;
pub(super) mod rm;
pub(super) mod services;
pub(super) mod stats;
pub(super) mod system;
pub(super) mod top;
pub(super) mod up;
pub(super) mod version;
pub(super) mod volume;
