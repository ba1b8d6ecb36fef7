//! Tests from outside: real programs, real files, the real kernel.

mod image;
mod registry;
