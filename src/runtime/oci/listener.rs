//! Filters of system calls that ask somebody: the descriptor they ask through goes to who listens.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde_json::json;

use super::super::hooks::HookState;
use super::error::{Context as _, OciError, Result};
use crate::sys::seqpacket;

/// Who listens, and what it is told beside the container's state.
#[derive(Debug, Clone, Default)]
pub(super) struct Listener {
    path: Option<PathBuf>,
    metadata: String,
}

impl Listener {
    /// The one of a configuration.
    pub(super) fn of(spec: &Spec) -> Self {
        let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        Self {
            path: seccomp.and_then(|seccomp| seccomp.listener_path().clone()),
            metadata: seccomp
                .and_then(|seccomp| seccomp.listener_metadata().clone())
                .unwrap_or_default(),
        }
    }

    /// Hands over the descriptor `number` of the process behind `pidfd`, whose id is `pid`.
    pub(super) fn hand_over(
        &self,
        state: &HookState,
        (pidfd, pid): (&OwnedFd, i32),
        number: i32,
    ) -> Result<()> {
        let path = self.path.as_ref();
        let path = path.ok_or_else(|| OciError::new("linux.seccomp has no listenerPath"))?;
        let shown = || format!("hand the filter of system calls to {}", path.display());
        let listener = pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()).cannot(shown)?;
        let message = json!({
            "ociVersion": state.oci_version,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": self.metadata,
            "state": state,
        });
        let connection = UnixStream::connect(path).cannot(shown)?;
        let text = message.to_string();
        seqpacket::send(&connection, text.as_bytes(), &[listener.as_fd()]).cannot(shown)
    }
}
