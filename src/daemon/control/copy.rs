//! Files in and out of containers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::chunks::Arriving;
use super::{Daemon, containers};
use crate::api::control::{
    Answer, ChunkWriter, Chunks, ControlError, CopyFound, CopyIn, CopyOut, CopySource, ErrorKind,
};
use crate::copy::{self, CopyError, Kind, Owner, Place, Unpack};
use crate::engine::linux::FilesError;
use crate::model::ContainerId;

impl Daemon {
    pub(super) async fn read_files(
        &self,
        id: &ContainerId,
        request: CopyOut,
    ) -> Answer<(CopyFound, Chunks)> {
        let host = Arc::clone(&self.host);
        let id = id.clone();
        let (mut writer, chunks) = ChunkWriter::new();
        // What is not there is told as an error of the call, not in the middle of the stream.
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let read = host.with_files(&id, move |place| {
                let from = PathBuf::from(&request.path);
                let follow = request.follow || request.path.ends_with('/') || contents(&from);
                let found = match found(place, &from, follow) {
                    Ok(found) => found,
                    Err(error) => {
                        drop(tell.send(Err(error)));
                        return Ok(());
                    }
                };
                let name = PathBuf::from(&found.name);
                if tell.send(Ok(found)).is_ok() {
                    let packed = copy::pack(place, &from, follow, &name, &mut writer);
                    writer.finish(packed.map_err(io::Error::other));
                }
                Ok(())
            });
            read.await
        });
        let found = told.await.map_err(|_| {
            ControlError::internal("the files of the container cannot be put together")
        })?;
        Ok((found.map_err(|error| refused(error.into()))?, chunks))
    }

    pub(super) async fn write_files(
        &self,
        id: &ContainerId,
        request: CopyIn,
        archive: Chunks,
    ) -> Answer<()> {
        let written = self.host.with_files(id, move |place| {
            let how = destination(place, &request)?;
            copy::unpack(place, &how, Arriving::new(archive))
        });
        written.await.map_err(refused)
    }
}

/// Whether a path means the content of a directory.
fn contents(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/.")
}

fn found(place: &Place, path: &Path, follow: bool) -> Result<CopyFound, CopyError> {
    let found = place.look(path, follow)?;
    let found = found.ok_or_else(|| no_file(path))?;
    let directory = found.kind == Kind::Directory;
    if !directory && path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(CopyError::Refused(format!("{} is not a directory", path.display())));
    }
    let name = if contents(path) { PathBuf::from(".") } else { found.name };
    Ok(CopyFound { directory, name: name.to_string_lossy().into_owned() })
}

/// Where an archive goes, by docker's rules.
fn destination(place: &Place, request: &CopyIn) -> Result<Unpack, CopyError> {
    let path = PathBuf::from(&request.path);
    let there = place.look(&path, true)?.map(|found| found.kind);
    let is_directory = there == Some(Kind::Directory);
    let shown = path.display();
    let (at, rename) = match (request.source, there) {
        (CopySource::Archive, _) if is_directory => (path, None),
        (CopySource::Archive, None) => return Err(no_file(&path)),
        (CopySource::Archive, Some(_)) => {
            return Err(CopyError::Refused(format!("{shown} is not a directory")));
        }
        (CopySource::File | CopySource::Directory, Some(Kind::Directory)) => (path, None),
        (CopySource::Content, Some(Kind::Directory)) => (path, Some(PathBuf::new())),
        (CopySource::Directory | CopySource::Content, Some(_)) => {
            return Err(CopyError::Refused(format!("{shown} is a file, not a directory")));
        }
        (CopySource::File, None) if request.path.ends_with('/') => {
            return Err(CopyError::Refused(format!("there is no directory {shown}")));
        }
        (CopySource::File, Some(_)) if request.path.ends_with('/') => {
            return Err(CopyError::Refused(format!("{shown} is not a directory")));
        }
        (CopySource::File, Some(_)) => renamed(&path),
        (_, None) => {
            let (parent, name) = renamed(&path);
            if place.look(&parent, true)?.map(|found| found.kind) != Some(Kind::Directory) {
                return Err(no_file(&parent));
            }
            (parent, name)
        }
    };
    let owner = if request.archive { Owner::Kept } else { Owner::Is(0, 0) };
    Ok(Unpack { at, rename, owner, special: true })
}

fn renamed(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
    (parent, path.file_name().map(PathBuf::from))
}

fn no_file(path: &Path) -> CopyError {
    CopyError::Refused(format!("there is no {} in the container", path.display()))
}

fn refused(error: FilesError) -> ControlError {
    match error {
        FilesError::Runtime(error) => containers::refused(error),
        FilesError::Copy(CopyError::Refused(why)) => ControlError::failed_precondition(why),
        error => ControlError::caused_by(ErrorKind::Internal, &error),
    }
}
