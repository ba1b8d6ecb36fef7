//! Which users of the host containers may have.

use std::fs::File;
use std::io::{self, Read as _};

use super::DaemonError;
use crate::model::UserPool;

/// The most that is read of a file, in bytes: a thousand times what a large host has in it.
const LONGEST: u64 = 4 << 20;

/// What the host's files leave to orca.
pub(super) fn free() -> Result<UserPool, DaemonError> {
    let (users, groups) = (read("/etc/subuid")?, read("/etc/subgid")?);
    UserPool::of_files(&users, &groups).map_err(DaemonError::Users)
}

/// The text of a file; empty if there is none.
fn read(path: &str) -> Result<String, DaemonError> {
    let mut text = Vec::new();
    let read = match File::open(path) {
        Ok(file) => file.take(LONGEST).read_to_end(&mut text).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    read.map_err(|error| DaemonError::Users(format!("{path}: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
