//! How a command ends when it does not end well: what is said, and the exit status.

use std::io;

use crate::api::{ClientError, ControlError, ErrorKind};

/// The work failed.
pub(super) const FAILED: u8 = 1;
/// The command line or a file makes no sense.
pub(super) const BAD_INPUT: u8 = 2;
/// The daemon cannot be reached.
pub(super) const UNREACHABLE: u8 = 3;

/// What a command gives back.
pub(super) type Outcome<T = ()> = Result<T, CommandError>;

/// Why a command ends early, as it is said to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandError {
    /// The exit status.
    pub(super) code: u8,
    /// A sentence; nothing is printed where it is missing.
    pub(super) message: Option<String>,
    /// What to do about it.
    pub(super) hint: Option<String>,
}

impl CommandError {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()), hint: None }
    }

    /// The work failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    /// The command line or a file makes no sense.
    pub(super) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(BAD_INPUT, message)
    }

    /// The daemon cannot be reached.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(UNREACHABLE, message)
    }

    /// Everything was said already.
    pub(super) fn silent(code: u8) -> Self {
        Self { code, message: None, hint: None }
    }

    /// `what` could not be done because of `error`.
    pub(super) fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Self::failed(format!("{}: {error}", what.into()))
    }

    /// The same, with what to do about it.
    #[must_use]
    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<ControlError> for CommandError {
    fn from(error: ControlError) -> Self {
        let code = match error.kind {
            ErrorKind::InvalidInput => BAD_INPUT,
            _ => FAILED,
        };
        Self { hint: error.hint, ..Self::new(code, error.message) }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let said = with_causes(&error);
        match error {
            ClientError::Refused(error) => error.into(),
            ClientError::NoDaemon { .. } => Self::unreachable(said).with_hint(
                "`orca up` starts one; with --root and --run it is looked for elsewhere",
            ),
            ClientError::CannotConnect { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Self::unreachable(said).with_hint("call orca as root, for example with sudo")
            }
            error if error.is_unreachable() => Self::unreachable(said),
            _ => Self::failed(said),
        }
    }
}

/// An error and its causes: `a: b: c`.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
