//! Files that are whole or not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::model::hex;

use super::StoreError;
use super::error::io;

/// Makes a directory that only its owner may enter: the state holds secrets.
pub(super) fn make_dir(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("make", path))
}

/// Opens a file for reading and writing, and makes it if `create`.
pub(super) fn open(path: &Path, create: bool) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(io("open", path))
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(io("read", path))
}

/// Puts `content` at `path`, so that after a crash there is the old file or the new one.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let new = path.with_extension("tmp");
    let written = write_new(&new, content)
        .and_then(|()| fs::rename(&new, path).map_err(io("write", path)))
        .and_then(|()| sync_dir(path));
    if written.is_err() {
        // Nobody reads it; the next attempt writes over it.
        fs::remove_file(&new).ok();
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let mut file = open(path, true)?;
    file.set_len(0).map_err(io("write", path))?;
    file.write_all(content).map_err(io("write", path))?;
    file.sync_all().map_err(io("write", path))
}

/// Makes the entries of the directory of `path` durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(path);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("write", dir))
}

/// A new random identity: 32 hexadecimal digits.
pub(super) fn identity() -> Result<String, StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(io("read", path))?;
    Ok(hex(&bytes))
}
