//! Thin, safe wrappers over Linux. The only room with `unsafe`.
//!
//! A function here is one system call or one short, fixed series of them. No policy.

#![expect(unsafe_code, reason = "this is the one room that talks to the kernel without a net")]

pub mod bpf;
pub mod clock;
pub mod clone;
pub mod exec;
pub mod heap;
pub mod link;
pub mod mounts;
pub mod netlink;
pub mod netns;
pub mod port;
pub mod process;
pub mod quota;
pub mod random;
pub mod ready;
pub mod seccomp;
pub mod seqpacket;
pub mod signals;
pub mod title;
pub mod tuning;
pub mod users;
pub mod watch;
pub mod writeback;
