//! Why a call was refused or failed.

/// An answer that is not the one hoped for: a sentence for a person, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// Which kind it is, for programs.
    pub kind: ErrorKind,
    /// What could not be done, with which thing, and why. The causes are part of it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Kinds of errors, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The thing named is not there.
    NotFound,
    /// What was asked for makes no sense, whatever the state.
    InvalidInput,
    /// Something else is in the way: a name that is taken, a thing that is in use.
    Conflict,
    /// It makes sense, but not in the present state: an image is missing, a container does not run.
    FailedPrecondition,
    /// Not now: the daemon is starting or stopping, or too busy.
    Unavailable,
    /// The caller may not.
    PermissionDenied,
    /// The kernel, the disk or orca itself failed.
    Internal,
}

impl ControlError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// An error of this kind that says what `error` says, with all its causes: `a: b: c`.
    pub fn caused_by(kind: ErrorKind, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(kind, message)
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The thing named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// What was asked for makes no sense.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Something else is in the way.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// Not in the present state.
    pub fn failed_precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::FailedPrecondition, message)
    }

    /// Not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The kernel, the disk or orca itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
