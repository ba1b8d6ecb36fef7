//! What a command of the OCI command line says when it cannot do its work.

use std::fmt::Display;

use super::super::cgroup::CgroupError;
use super::super::compile::Unfit;
use super::super::init::Failure;

/// The sentence, and the exit status of `run` and `exec`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OciError {
    /// As a shell has it: 127 for a program that is not there, 126 for one that cannot be run.
    pub code: u8,
    /// What could not be done, and why.
    pub message: String,
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, OciError>;

impl OciError {
    /// An ordinary failure.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// There is no such container. The words are those that engines look for.
    pub(super) fn gone(id: &str) -> Self {
        Self::new(format!("container {id:?} does not exist"))
    }
}

impl From<Failure> for OciError {
    fn from(failure: Failure) -> Self {
        let code = u8::try_from(failure.code).unwrap_or(1);
        // What is said of a container that cannot be made is no program's status here.
        let code = if code == 128 { 1 } else { code };
        Self { code, message: failure.message }
    }
}

impl From<Unfit> for OciError {
    fn from(unfit: Unfit) -> Self {
        Self::new(unfit.0)
    }
}

impl From<CgroupError> for OciError {
    fn from(error: CgroupError) -> Self {
        let causes =
            std::iter::successors(std::error::Error::source(&error), |error| error.source());
        let causes: String = causes.map(|cause| format!(": {cause}")).collect();
        Self::new(format!("{error}{causes}"))
    }
}

/// Says what was being done when something failed.
pub(super) trait Context<T> {
    /// `what` completes "cannot …".
    fn cannot<W: Display>(self, what: impl FnOnce() -> W) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Context<T> for std::result::Result<T, E> {
    fn cannot<W: Display>(self, what: impl FnOnce() -> W) -> Result<T> {
        use super::super::init::Doing as _;
        Ok(self.doing(what)?)
    }
}
