//! The log: segments of commands, and snapshots that make the segments before them superfluous.
//!
//! `snapshot-<n>` is the state after command n; `log-<n>` has the commands from n on, up to the next
//! segment. A segment ends with each snapshot. The two latest snapshots stay, with what follows them.

use std::fs::{self, File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Agreed, Command};

use super::apply::perform;
use super::error::io;
use super::record::{self, Found};
use super::{StoreError, disk, snapshot};

/// The first bytes of a segment; the format's number follows.
const MAGIC: &[u8; 8] = b"orca\0log";
/// Magic (8) and format (4).
const HEAD: usize = 12;
/// A snapshot is made after so many commands, or so many bytes.
const SNAPSHOT_AFTER: (u64, u64) = (4096, 8 << 20);
/// So many snapshots stay.
const KEPT: usize = 2;

/// The log of one store.
#[derive(Debug)]
pub(super) struct Log {
    dir: PathBuf,
    /// Held for as long as the log is open.
    _lock: File,
    /// The number of the last command.
    seq: u64,
    /// The number of the last snapshot.
    snapshot: u64,
    segment: Option<Segment>,
    /// The last write may or may not have reached the disk: only a new snapshot makes it certain.
    uncertain: bool,
}

/// The segment that is written to.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Opens the log under `root` and reads what was agreed.
    pub(super) fn open(root: &Path) -> Result<(Self, Agreed), StoreError> {
        let dir = root.join("state");
        disk::make_dir(&dir)?;
        let lock = lock(&dir)?;
        let snapshots = numbers(&dir, "snapshot-")?;
        let segments = numbers(&dir, "log-")?;
        let (base, agreed) = match (snapshots.last(), segments.first()) {
            (Some(last), _) => (*last, snapshot::read(&named(&dir, "snapshot-", *last), *last)?),
            (None, None) => (0, create(&dir)?),
            (None, Some(first)) => {
                let what = "its snapshot is missing".to_owned();
                let path = named(&dir, "log-", *first);
                return Err(StoreError::Damaged { path, offset: 0, what });
            }
        };
        let mut log =
            Self { dir, _lock: lock, seq: base, snapshot: base, segment: None, uncertain: false };
        let agreed = log.replay(agreed, &segments)?;
        Ok((log, agreed))
    }

    /// Appends a command; it is on disk when this returns, or in the kernel's hands if it need not be
    /// `lasting`. After an error it is not, and never will be.
    pub(super) fn append(&mut self, command: &Command, lasting: bool) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(command).map_err(|e| io("write", &self.dir)(e.into()))?;
        let seq = self.seq + 1;
        let bytes = record::encode(seq, &payload)
            .ok_or(StoreError::TooLarge { size: payload.len(), most: record::MOST })?;
        let segment = match self.segment.take() {
            Some(segment) => segment,
            None => Segment::create(named(&self.dir, "log-", seq))?,
        };
        let segment = self.segment.insert(segment);
        match segment.append(&bytes, lasting) {
            Ok(()) => {
                self.seq = seq;
                Ok(())
            }
            Err((error, certain)) => {
                self.uncertain = !certain;
                Err(error)
            }
        }
    }

    /// After a write of which nobody knows whether it reached the disk: puts the state as it is behind
    /// it, so that it never comes back.
    pub(super) fn mend(&mut self, agreed: &Agreed) -> Result<(), StoreError> {
        if self.uncertain { self.replace(agreed) } else { Ok(()) }
    }

    /// Writes the state under a number of its own: whatever the log has with that number is void.
    pub(super) fn replace(&mut self, agreed: &Agreed) -> Result<(), StoreError> {
        let seq = self.seq + 1;
        self.write_snapshot(seq, agreed)
    }

    /// Whether the log is long enough for a snapshot.
    pub(super) fn wants_snapshot(&self) -> bool {
        let (commands, bytes) = SNAPSHOT_AFTER;
        self.seq - self.snapshot >= commands
            || self.segment.as_ref().is_some_and(|segment| segment.length >= bytes)
    }

    /// Writes the state as it is after the last command, and drops what is superfluous then.
    pub(super) fn snapshot(&mut self, agreed: &Agreed) -> Result<(), StoreError> {
        self.write_snapshot(self.seq, agreed)
    }

    /// As if the sync of the last command had failed.
    #[cfg(test)]
    pub(super) fn forget_last_as_uncertain(&mut self) {
        self.seq -= 1;
        self.uncertain = true;
    }

    fn write_snapshot(&mut self, seq: u64, agreed: &Agreed) -> Result<(), StoreError> {
        snapshot::write(&named(&self.dir, "snapshot-", seq), seq, agreed)?;
        self.seq = seq;
        self.snapshot = seq;
        self.segment = None;
        self.uncertain = false;
        self.drop_old()
    }

    /// Removes snapshots but the latest, and segments that are behind the oldest one kept.
    fn drop_old(&self) -> Result<(), StoreError> {
        let snapshots = numbers(&self.dir, "snapshot-")?;
        let first_kept = snapshots.len().saturating_sub(KEPT);
        let oldest = snapshots.get(first_kept).copied().unwrap_or(0);
        for number in &snapshots[..first_kept] {
            remove(&named(&self.dir, "snapshot-", *number))?;
        }
        let segments = numbers(&self.dir, "log-")?;
        for pair in segments.windows(2) {
            if pair[1] <= oldest + 1 {
                remove(&named(&self.dir, "log-", pair[0]))?;
            }
        }
        Ok(())
    }

    /// Applies the commands after the snapshot.
    fn replay(&mut self, mut agreed: Agreed, segments: &[u64]) -> Result<Agreed, StoreError> {
        for (index, first) in segments.iter().enumerate() {
            let next = segments.get(index + 1).copied();
            if next.is_some_and(|next| next <= self.snapshot + 1) {
                continue;
            }
            let path = named(&self.dir, "log-", *first);
            // A segment that the snapshot has all of may end in anything: see `replace`.
            let is_last = next.is_none();
            let bytes = disk::read(&path)?;
            let length = self.replay_segment(&path, &bytes, is_last, &mut agreed)?;
            if is_last && *first > self.snapshot {
                self.segment = Some(Segment::reopen(path, length)?);
            }
        }
        Ok(agreed)
    }

    /// Applies the commands of one segment; returns how many of its bytes are good.
    fn replay_segment(
        &mut self,
        path: &Path,
        bytes: &[u8],
        is_last: bool,
        agreed: &mut Agreed,
    ) -> Result<u64, StoreError> {
        let damaged = |offset: usize, what: &str| StoreError::Damaged {
            path: path.to_owned(),
            offset: offset.try_into().unwrap_or(u64::MAX),
            what: what.to_owned(),
        };
        if !check_head(path, bytes, is_last)? {
            return Ok(0);
        }
        let mut at = HEAD;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match record::decode(rest) {
                Found::End => break,
                Found::Record(seq, payload, length) => {
                    if seq > self.snapshot {
                        if seq != self.seq + 1 {
                            return Err(damaged(
                                at,
                                &format!("command {seq} follows {}", self.seq),
                            ));
                        }
                        let command: Command = serde_json::from_slice(payload)
                            .map_err(|error| damaged(at, &error.to_string()))?;
                        perform(agreed, &command).map_err(|source| StoreError::Replay {
                            path: path.to_owned(),
                            seq,
                            source,
                        })?;
                        self.seq = seq;
                    }
                    at += length;
                }
                Found::Bad if !is_last || record::follows(rest, self.seq) => {
                    return Err(damaged(at, "a command is not as it was written"));
                }
                Found::Bad => break,
            }
        }
        Ok(at.try_into().unwrap_or(u64::MAX))
    }
}

impl Segment {
    fn create(path: PathBuf) -> Result<Self, StoreError> {
        let mut file = disk::open(&path, true)?;
        let mut write = || {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&head())?;
            file.sync_all()
        };
        write().map_err(io("write", &path))?;
        disk::sync_dir(&path)?;
        Ok(Self { path, file, length: HEAD as u64 })
    }

    /// Opens a segment to go on behind its first `length` bytes; the torn rest goes.
    fn reopen(path: PathBuf, length: u64) -> Result<Self, StoreError> {
        if length < HEAD as u64 {
            return Self::create(path);
        }
        let file = disk::open(&path, false)?;
        let mut segment = Self { path, file, length };
        segment.cut().map_err(io("write", &segment.path))?;
        Ok(segment)
    }

    /// Appends, and syncs if it is to be `lasting`. With an error comes whether it is certain that nothing of it stays.
    fn append(&mut self, bytes: &[u8], lasting: bool) -> Result<(), (StoreError, bool)> {
        if let Err(error) = self.file.write_all(bytes) {
            let certain = self.cut().is_ok();
            return Err((io("write", &self.path)(error), certain));
        }
        // After a failed sync the kernel may have thrown the pages away and say so only once: nothing
        // that is read or synced through this file again would be a proof.
        if lasting {
            self.file.sync_data().map_err(|error| (io("write", &self.path)(error), false))?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Cuts the file to what is good.
    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_all()
    }
}

/// A new store: nothing is agreed but who it is.
fn create(dir: &Path) -> Result<Agreed, StoreError> {
    let agreed = Agreed { identity: disk::identity()?, next_task: 1, ..Agreed::default() };
    snapshot::write(&named(dir, "snapshot-", 0), 0, &agreed)?;
    // The directory itself is new too.
    disk::sync_dir(dir)?;
    Ok(agreed)
}

/// How often the lock is tried for. A process that its last holder was just making has the holder's
/// files for a moment longer.
const LOCK_TRIES: u32 = 20;
/// How long to wait between two tries.
const LOCK_REST: Duration = Duration::from_millis(10);

/// Takes the store for this process; the kernel gives it back when the process ends, however it does.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = disk::open(&path, true)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_REST),
            Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
        }
    }
    Err(StoreError::InUse { path: dir.to_owned() })
}

fn head() -> Vec<u8> {
    [&MAGIC[..], &snapshot::FORMAT.to_le_bytes()].concat()
}

/// Whether a segment has its head. The last one may not have got that far.
fn check_head(path: &Path, bytes: &[u8], is_last: bool) -> Result<bool, StoreError> {
    let damaged = || StoreError::Damaged {
        path: path.to_owned(),
        offset: 0,
        what: "it is not a log of orca".to_owned(),
    };
    let Some((magic, format)) = bytes.get(..HEAD).and_then(|head| head.split_at_checked(8)) else {
        let torn = is_last && (head().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0));
        return if torn { Ok(false) } else { Err(damaged()) };
    };
    let unwritten = bytes.iter().all(|byte| *byte == 0);
    if magic != MAGIC {
        return if is_last && unwritten { Ok(false) } else { Err(damaged()) };
    }
    match format.try_into().map(u32::from_le_bytes).unwrap_or_default() {
        snapshot::FORMAT => Ok(true),
        found => Err(StoreError::Format { path: path.to_owned(), found, known: snapshot::FORMAT }),
    }
}

fn named(dir: &Path, kind: &str, number: u64) -> PathBuf {
    dir.join(format!("{kind}{number:020}"))
}

/// The numbers of the files of one kind, in order.
fn numbers(dir: &Path, kind: &str) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(io("read", dir))? {
        let name = entry.map_err(io("read", dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(kind));
        // A `.tmp` of a crash is not a number.
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    fs::remove_file(path).map_err(io("remove", path))
}
