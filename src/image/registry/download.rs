//! A layer on its way here. What has come stays when the connection, or the process, does not: the
//! next pull goes on from there.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::session::Session;
use super::settings::{Progress, Watcher};
use super::trouble::{Patience, Tried, Trouble, cancelled};
use crate::image::error::{Doing as _, ImageError, Result};
use crate::image::ingest::{Arrived, Pool};
use crate::image::spool::Spool;
use crate::image::staging::Staging;
use crate::model::Digest;

/// A layer to get.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Gets a layer. `None` if it is here by now: somebody else has got it.
pub(super) fn download(
    staging: &Staging,
    pool: &Pool,
    session: &Session<'_>,
    wanted: &Wanted,
    patience: Patience,
    watcher: &dyn Watcher,
) -> Result<Option<Arrived>> {
    let path = staging.store().path("partial").join(wanted.digest.hex());
    let Some(file) = claim(staging, &path, wanted)? else { return Ok(None) };
    let mut spool = Spool::resume(&path, file, wanted.size).doing("read", &path)?;
    let resumed = spool.written() > 0;
    let unpacking = pool.unpack(staging, &spool);
    if let Err(error) = fetch(session, wanted, &mut spool, patience, watcher) {
        if !spool.abandoned() {
            return Err(error);
        }
        drop(spool);
        return match unpacking.recv() {
            Ok(Err(cause)) => Err(cause),
            _ => Err(error),
        };
    }
    let blob = spool.finish();
    if blob.digest != wanted.digest {
        fs::remove_file(&path).doing("remove", &path)?;
        let what = match resumed {
            // What was here before may have been bad.
            true => format!("layer {}, begun by an earlier pull,", wanted.digest),
            false => format!("layer {}", wanted.digest),
        };
        let (found, wanted) = (blob.digest, wanted.digest.clone());
        return Err(ImageError::WrongDigest { what, found, wanted });
    }
    watcher.progress(Progress::Done(wanted.digest.clone()));
    Ok(Some(Arrived { blob, unpacking }))
}

/// Opens the file for a layer, which nobody else has meanwhile.
fn claim(staging: &Staging, path: &Path, wanted: &Wanted) -> Result<Option<File>> {
    let Wanted { digest, size } = wanted;
    // Ends with a file that is still there once its lock is held; whoever had it is done with it then.
    loop {
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = open().doing("open", path)?;
        match flock(&file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => continue,
            done => done.doing("lock", path)?,
        }
        if staging.has_blob(digest, Some(*size))? {
            drop(fs::remove_file(path));
            return Ok(None);
        }
        let same =
            |there: fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
        if fs::metadata(path).is_ok_and(same) {
            return Ok(Some(file));
        }
    }
}

/// What a try has to bring so that failing is forgotten: a registry that drips must not hold us for
/// ever.
const PROGRESS: u64 = 32 << 10;

/// Gets what is missing, again and again as long as more of it comes.
fn fetch(
    session: &Session<'_>,
    wanted: &Wanted,
    spool: &mut Spool,
    mut patience: Patience,
    watcher: &dyn Watcher,
) -> Result<()> {
    while spool.written() < wanted.size {
        let before = spool.written();
        let Err(trouble) = fetch_once(session, wanted, spool, watcher) else { continue };
        if spool.written() - before >= PROGRESS {
            patience.encourage();
        }
        patience.wait(trouble, watcher)?;
    }
    Ok(())
}

fn fetch_once(
    session: &Session<'_>,
    wanted: &Wanted,
    spool: &mut Spool,
    watcher: &dyn Watcher,
) -> Tried<()> {
    let digest = &wanted.digest;
    let passing = |doing: String, source| Trouble::passing(ImageError::Io { doing, source });
    let (mut body, from_here) = session.blob(digest, spool.written())?;
    if !from_here {
        let have = spool.written();
        let skipped = std::io::copy(&mut body.by_ref().take(have), &mut std::io::sink());
        skipped.map_err(|source| passing(format!("get layer {digest}"), source))?;
    }
    let mut buffer = vec![0; 128 << 10];
    while spool.written() < wanted.size {
        cancelled(watcher)?;
        let got = body.read(&mut buffer).map_err(|e| passing(format!("get layer {digest}"), e))?;
        if got == 0 {
            let short = std::io::ErrorKind::UnexpectedEof.into();
            return Err(passing(format!("get all of layer {digest}"), short));
        }
        let missing = usize::try_from(wanted.size - spool.written()).unwrap_or(usize::MAX);
        let stored = spool.write_all(&buffer[..got.min(missing)]);
        stored
            .map_err(|source| ImageError::Io { doing: format!("store layer {digest}"), source })?;
        watcher.progress(Progress::Moved { layer: digest.clone(), done: spool.written() });
        if got > missing {
            let limit = format!("the {} bytes its manifest says", wanted.size);
            return Err(ImageError::TooLarge { what: format!("layer {digest}"), limit }.into());
        }
    }
    Ok(())
}
