//! Thin, safe wrappers over Linux. The only room with `unsafe`.
//!
//! A function here is one system call or one short, fixed series of them. No policy.

#![expect(unsafe_code, reason = "this is the one room that talks to the kernel without a net")]

pub mod bpf;
pub mod clock;
pub mod netns;
pub mod process;
pub mod seccomp;
pub mod watch;
