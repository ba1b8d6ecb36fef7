//! The runtime: containers from start to end.

mod bed;
mod life;
