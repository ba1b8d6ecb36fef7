//! OCI image layouts as directories: packed on their way to the daemon, unpacked on their way back.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::api::ClientError;
use crate::api::control::{ChunkWriter, Chunks};
use crate::cli::chunks;
use crate::cli::error::{CommandError, Outcome};

/// The layout in `dir` as the bytes of an archive. They are read on a thread that nobody waits for.
pub(super) fn read(dir: &Path) -> Outcome<Chunks> {
    if !dir.join("index.json").is_file() || !dir.join("oci-layout").is_file() {
        let message = format!("{} is a directory, but no OCI image layout", dir.display());
        return Err(CommandError::bad_input(message)
            .with_hint("a layout has the files `oci-layout` and `index.json`"));
    }
    let dir = dir.to_owned();
    Ok(chunks::packed(move |out| pack(&dir, out)))
}

fn pack(dir: &Path, out: &mut ChunkWriter) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    // Links are followed: layouts made of links to the files of a build are common.
    for name in ["oci-layout", "index.json", "manifest.json"] {
        let path = dir.join(name);
        if path.is_file() {
            tar.append_path_with_name(&path, name)?;
        }
    }
    let blobs = dir.join("blobs/sha256");
    let mut names = fs::read_dir(&blobs)?.collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let path = entry.path();
        if path.is_file() {
            tar.append_path_with_name(&path, Path::new("blobs/sha256").join(entry.file_name()))?;
        }
    }
    tar.finish()
}

/// A directory that becomes a layout, whole or not at all.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// At `path`, where nothing may be but an empty directory.
    pub(super) fn new(path: &Path) -> Outcome<Self> {
        match fs::read_dir(path).map(Iterator::count) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(0) => {}
            Ok(_) => {
                let message = format!("{} is there and not empty", path.display());
                return Err(CommandError::bad_input(message).with_hint("name a new directory"));
            }
            Err(error) => {
                return Err(CommandError::bad_input(format!("{}: {error}", path.display())));
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Writes the archive that comes in `chunks` as files.
    pub(super) async fn fill(
        self,
        mut chunks: impl Stream<Item = Result<Vec<u8>, ClientError>> + Unpin,
    ) -> Outcome {
        let (sender, receiver) = mpsc::channel(4);
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let draft = beside.clone();
        let writing = tokio::task::spawn_blocking(move || unpack(receiver, &draft));
        let mut failure = None;
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            // Whoever writes says why it does not any more.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        drop(sender);
        let cannot = |error: io::Error| {
            CommandError::io(format!("cannot write {}", self.path.display()), &error)
        };
        let written = match writing.await {
            Ok(written) => written.map_err(cannot),
            Err(error) => Err(CommandError::failed(format!("cannot write: {error}"))),
        };
        let done = match failure {
            Some(error) => Err(error.into()),
            None => written.and_then(|()| fs::rename(&beside, &self.path).map_err(cannot)),
        };
        if done.is_err() {
            // What is left of it says by its name that it is not whole.
            let _left = fs::remove_dir_all(&beside).is_err();
        }
        done
    }
}

fn unpack(chunks: mpsc::Receiver<Vec<u8>>, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into.join("blobs/sha256"))?;
    let mut archive = tar::Archive::new(Receiving { chunks, chunk: Vec::new(), read: 0 });
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let blob = path.parent() == Some(Path::new("blobs/sha256"));
        let known = ["oci-layout", "index.json"].iter().any(|name| path == Path::new(name));
        if !blob && !known {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the layout has a strange file",
            ));
        }
        let mut file = File::create_new(into.join(path))?;
        io::copy(&mut entry, &mut file)?;
    }
    Ok(())
}

struct Receiving {
    chunks: mpsc::Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    read: usize,
}

impl Read for Receiving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() {
            match self.chunks.blocking_recv() {
                Some(chunk) => (self.chunk, self.read) = (chunk, 0),
                None => return Ok(0),
            }
        }
        let left = &self.chunk[self.read..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.read += count;
        Ok(count)
    }
}
