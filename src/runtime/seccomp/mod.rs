//! Which system calls a container may make: profiles, and the filter programs made from them.
//!
//! A profile names calls and says what happens to them. It is compiled for every architecture whose
//! calls the kernel takes: a balanced search on the number of the call, then comparisons of its
//! arguments. libseccomp takes 9 ms for the default profile; this takes well under one, once for
//! each set of capabilities.

mod assemble;
mod compile;
mod default;
mod json;
mod numbers;
mod profile;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use profile::{Action, Arch, Argument, Comparison, Profile, Rule};

use super::capabilities::CapSet;

/// A filter, ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// An array of `struct sock_filter`.
    pub bytes: Arc<[u8]>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// It is not JSON of the right shape.
    #[error("cannot read the seccomp profile")]
    Json(#[from] serde_json::Error),
    /// It is larger than any profile.
    #[error("the seccomp profile is larger than {0} bytes")]
    TooLarge(usize),
    /// A word it does not have.
    #[error("the seccomp profile says {what} {word:?}, which orca does not know")]
    Unknown {
        /// What kind of word.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// Something that cannot be.
    #[error("the seccomp profile cannot be used: {0}")]
    Invalid(String),
    /// A process would have to answer for the calls.
    #[error(
        "the seccomp profile asks for SCMP_ACT_NOTIFY, which needs a listener; orca has none: use \
         SCMP_ACT_ERRNO or SCMP_ACT_LOG"
    )]
    Notify,
    /// The kernel takes 4096 instructions.
    #[error("the seccomp profile is too long: it needs {0} instructions, the kernel takes 4096")]
    TooLong(usize),
}

/// The filter of the default profile for a container with these capabilities. Equal in effect to
/// Docker's. It is made once for each set and kept.
///
/// # Errors
/// None in practice: the profile is ours and a test compiles it for every set that matters.
pub fn default_program(caps: &CapSet) -> Result<Arc<[u8]>, SeccompError> {
    /// Enough for any mix of services; a set more starts anew.
    const KEPT: usize = 64;
    static PROGRAMS: Mutex<BTreeMap<CapSet, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = programs.get(caps) {
        return Ok(program.clone());
    }
    let program = compile(&default::profile(*caps))?.bytes;
    if programs.len() >= KEPT {
        programs.clear();
    }
    programs.insert(*caps, program.clone());
    Ok(program)
}

/// The calls of an architecture that orca knows, by name, with their numbers.
pub fn names_of_calls(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    let names = numbers::CALLS.iter().map(|(name, _)| *name);
    names.filter_map(move |name| Some((name, numbers::number(arch, name)?)))
}

/// Makes the filter of a profile.
///
/// # Errors
/// If the profile is too long for the kernel, or names no architecture.
pub fn compile(profile: &Profile) -> Result<Program, SeccompError> {
    Ok(Program { bytes: compile::program(profile)?.into(), flags: profile.flags })
}
