//! Who may call: root, and the user the daemon runs as. Being allowed to start containers is as good
//! as being root, so there is nothing in between.

use std::fs::File;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use crate::api::control::{ControlError, ErrorKind};
use crate::api::convert::status_of;

/// Lets a call through if its caller, as the kernel names it (`SO_PEERCRED`), may call.
pub(super) fn check(request: Request<()>) -> Result<Request<()>, Status> {
    let connection = request.extensions().get::<UdsConnectInfo>();
    let caller = connection.and_then(|connection| connection.peer_cred).map(|peer| peer.uid());
    let own = nix::unistd::geteuid().as_raw();
    if may_call(caller, own) { Ok(request) } else { Err(status_of(&refusal(caller))) }
}

/// The regular file that the caller has open for reading as `descriptor`: the same open file, with its
/// place. `None` if it has none, or it cannot be had: the caller's process cannot be seen from here.
pub(super) fn file_of<T>(request: &Request<T>, descriptor: u32) -> Option<File> {
    let connection = request.extensions().get::<UdsConnectInfo>()?;
    let pid = Pid::from_raw(connection.peer_cred?.pid()?)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let descriptor = i32::try_from(descriptor).ok()?;
    let file = File::from(pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty()).ok()?);
    let readable = fcntl_getfl(&file).ok()? & OFlags::ACCMODE != OFlags::WRONLY;
    (readable && file.metadata().ok()?.is_file()).then_some(file)
}

/// Whether user `caller` may call a daemon that runs as `own`.
fn may_call(caller: Option<u32>, own: u32) -> bool {
    caller.is_some_and(|caller| caller == 0 || caller == own)
}

fn refusal(caller: Option<u32>) -> ControlError {
    let who = caller.map_or("an unknown user".to_owned(), |uid| format!("user {uid}"));
    ControlError::new(ErrorKind::PermissionDenied, format!("{who} may not use this daemon"))
        .with_hint("call orca as root, for example with sudo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_daemons_own_user_may_call() {
        assert!(may_call(Some(0), 0));
        assert!(may_call(Some(0), 1000));
        assert!(may_call(Some(1000), 1000));
    }

    #[test]
    fn others_may_not_call() {
        assert!(!may_call(Some(1000), 0));
        assert!(!may_call(Some(1001), 1000));
        assert!(!may_call(None, 0));
    }
}
