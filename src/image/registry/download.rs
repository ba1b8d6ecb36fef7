//! A layer on its way here. What has come stays when the connection, or the process, does not: the
//! next pull goes on from there.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::session::Session;
use super::settings::Watcher;
use super::trouble::{Patience, Tried, Trouble, cancelled};
use crate::image::error::{Doing as _, ImageError, Result};
use crate::image::ingest::{Arrived, Pool};
use crate::image::spool::Spool;
use crate::image::staging::Staging;
use crate::model::{Digest, Progress};

/// A layer to get.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// Gets a layer. `None` if it is here by now: somebody else has got it. What an earlier pull began is
/// gone on with; if that comes to nothing good, it is fetched from the beginning, once.
pub(super) fn download(
    staging: &Staging,
    pool: &Pool,
    session: &Session<'_>,
    wanted: &Wanted,
    patience: &dyn Fn() -> Patience,
    watcher: &dyn Watcher,
) -> Result<Option<Arrived>> {
    let attempt = || attempt(staging, pool, session, wanted, patience(), watcher);
    match attempt()? {
        Attempt::Bad { resumed: true, .. } => attempt()?,
        other => other,
    }
    .into_result()
}

/// What came of one attempt.
enum Attempt {
    Arrived(Arrived),
    Here,
    /// All of it came, and it is not what it should be.
    Bad {
        error: ImageError,
        resumed: bool,
    },
}

impl Attempt {
    fn into_result(self) -> Result<Option<Arrived>> {
        match self {
            Self::Arrived(arrived) => Ok(Some(arrived)),
            Self::Here => Ok(None),
            Self::Bad { error, .. } => Err(error),
        }
    }
}

fn attempt(
    staging: &Staging,
    pool: &Pool,
    session: &Session<'_>,
    wanted: &Wanted,
    patience: Patience,
    watcher: &dyn Watcher,
) -> Result<Attempt> {
    let path = staging.store().path("partial").join(wanted.digest.hex());
    let Some(file) = claim(staging, &path, wanted, watcher)? else {
        return Ok(Attempt::Here);
    };
    let mut spool = Spool::resume(&path, file, wanted.size).doing("read", &path)?;
    let resumed = spool.written() > 0;
    let unpacking = pool.unpack(staging, &spool);
    let bad = |error| {
        // The next pull must not go on with it.
        fs::remove_file(&path).doing("remove", &path)?;
        Ok(Attempt::Bad { error, resumed })
    };
    if let Err(error) = fetch(session, wanted, &mut spool, patience, watcher) {
        if !spool.abandoned() {
            return Err(error);
        }
        drop(spool);
        return match unpacking.recv() {
            Ok(Err(cause)) => bad(cause),
            _ => bad(error),
        };
    }
    let blob = spool.finish();
    if blob.digest != wanted.digest {
        let what = format!("layer {}", wanted.digest);
        let (found, wanted) = (blob.digest, wanted.digest.clone());
        return bad(ImageError::WrongDigest { what, found, wanted });
    }
    watcher.progress(Progress::Done(wanted.digest.clone()));
    Ok(Attempt::Arrived(Arrived { blob, unpacking }))
}

/// Opens the file for a layer, which nobody else has meanwhile.
fn claim(
    staging: &Staging,
    path: &Path,
    wanted: &Wanted,
    watcher: &dyn Watcher,
) -> Result<Option<File>> {
    let Wanted { digest, size } = wanted;
    // Ends with a file that is still there once its lock is held; whoever had it is done with it then.
    loop {
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = open().doing("open", path)?;
        // Not one wait without an end: whoever has it may be slow, and nobody may want it any more.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::WOULDBLOCK) => {
                cancelled(watcher)?;
                thread::sleep(LOOK_AGAIN);
                continue;
            }
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

/// How often it is tried to have a layer that somebody else is fetching.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

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
    // To the end of the answer, so that the connection can be used again.
    let _spent = body.read(&mut buffer).is_err();
    Ok(())
}
