//! `security_opt`, in Docker's words.

use super::super::capabilities::CapSet;
use super::super::seccomp::{self, Profile, SeccompError};
use super::super::wire::Blob;
use super::Unfit;
use crate::model::Container;

/// What confines a program beside its capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Security {
    /// Whether programs can never gain privileges.
    pub no_new_privileges: bool,
    /// Whether the kernel's own files are shown as they are.
    pub open_system_paths: bool,
    seccomp: Seccomp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seccomp {
    Default,
    None,
    /// The text of a profile.
    Profile(String),
}

/// The largest profile in bytes.
const MAX_PROFILE: u64 = 4 << 20;

impl Security {
    /// Reads what the container asks for.
    pub(super) fn parse(container: &Container) -> Result<Self, Unfit> {
        let mut security = Self::unasked(container);
        for option in &container.security_opt {
            security.apply(option, read)?;
        }
        Ok(security)
    }

    /// The same with a profile that was read before: its file may have changed since.
    pub(super) fn with_profile(container: &Container, profile: &str) -> Result<Self, Unfit> {
        let mut security = Self::unasked(container);
        for option in &container.security_opt {
            security.apply(option, |_| Ok(profile.to_owned()))?;
        }
        Ok(security)
    }

    fn unasked(container: &Container) -> Self {
        Self {
            // Off as in Docker: images whose programs gain rights by set-user-id bits are common.
            no_new_privileges: false,
            open_system_paths: false,
            seccomp: if container.privileged { Seccomp::None } else { Seccomp::Default },
        }
    }

    fn apply(
        &mut self,
        option: &str,
        read: impl FnOnce(&str) -> Result<String, Unfit>,
    ) -> Result<(), Unfit> {
        // Docker takes both signs; a profile's path may hold either.
        let cut = option.find(['=', ':']).unwrap_or(option.len());
        let (name, value) = (&option[..cut], option.get(cut + 1..).unwrap_or_default());
        match (name, value) {
            ("no-new-privileges", "" | "true") => self.no_new_privileges = true,
            ("no-new-privileges", "false") => self.no_new_privileges = false,
            ("seccomp", "unconfined") => self.seccomp = Seccomp::None,
            ("seccomp", "builtin" | "default") => self.seccomp = Seccomp::Default,
            ("seccomp", profile) if !profile.is_empty() => {
                self.seccomp = Seccomp::Profile(read(profile)?);
            }
            ("systempaths", "unconfined") => self.open_system_paths = true,
            // There is nothing of that kind to turn off.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            _ => return Err(Unfit(format!("the security option {option:?} is not known here"))),
        }
        Ok(())
    }

    /// As if privileged.
    pub(super) fn unconfine(&mut self) {
        self.seccomp = Seccomp::None;
    }

    /// The text of the profile, if it is not a built-in one.
    pub(super) fn profile(&self) -> Option<&str> {
        match &self.seccomp {
            Seccomp::Profile(text) => Some(text),
            Seccomp::Default | Seccomp::None => None,
        }
    }

    /// The system call filter of a program with these capabilities, and its flags; empty is none.
    pub(super) fn filter(&self, capabilities: CapSet) -> Result<(Blob, u32), Unfit> {
        let unfit = |error: SeccompError| Unfit(error.to_string());
        match &self.seccomp {
            Seccomp::None => Ok((Blob::default(), 0)),
            Seccomp::Default => {
                let program = seccomp::default_program(&capabilities).map_err(unfit)?;
                Ok((Blob(program.to_vec()), 0))
            }
            Seccomp::Profile(text) => {
                let profile = Profile::from_json(text.as_bytes(), &capabilities);
                let program = profile.and_then(|p| seccomp::compile(&p)).map_err(unfit)?;
                Ok((Blob(program.bytes.to_vec()), program.flags))
            }
        }
    }
}

/// The profile itself, or the file that holds it.
fn read(profile: &str) -> Result<String, Unfit> {
    use std::io::Read as _;
    if profile.trim_start().starts_with('{') {
        return Ok(profile.to_owned());
    }
    let mut text = String::new();
    std::fs::File::open(profile)
        .and_then(|file| file.take(MAX_PROFILE).read_to_string(&mut text))
        .map_err(|error| Unfit(format!("cannot read the seccomp profile {profile:?}: {error}")))?;
    Ok(text)
}
