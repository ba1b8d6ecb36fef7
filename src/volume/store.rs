//! Making, finding and removing volumes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::error::{Doing as _, Result, VolumeError};
use super::mounting;
use super::options::{Place, place};
use super::record::{self, VolumeRecord};
use crate::model::{Volume, hex};
use crate::sys::{clock, quota, random};

/// The volumes of an instance. Cheap to clone; many threads and processes may use them at once.
#[derive(Debug, Clone)]
pub struct Volumes {
    dir: PathBuf,
}

/// What [`Volumes::prune`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    /// The names.
    pub volumes: Vec<String>,
    /// Bytes of files that are gone.
    pub bytes: u64,
}

impl Volumes {
    /// Opens the volumes of the instance whose root is `root`. Removes what was half made or half
    /// removed.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn open(root: &Path) -> Result<Self> {
        let dir = std::path::absolute(root).doing("find", root)?.join("volumes");
        fs::create_dir_all(&dir).doing("make", &dir)?;
        // What is in volumes is for containers, not for the host's users.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .doing("set the mode of", &dir)?;
        let volumes = Self { dir };
        let _lock = volumes.lock()?;
        for path in volumes.entries()? {
            if file_name(&path).starts_with(DRAFT) {
                remove_tree(&path)?;
            }
        }
        Ok(volumes)
    }

    /// Makes a volume if it is not there. Gives the directory that containers see.
    ///
    /// # Errors
    /// If the name is none, its options are not supported or differ from those it has, it is external
    /// and not there, or it cannot be made.
    pub fn ensure(&self, name: &str, volume: &Volume, stack: &str) -> Result<PathBuf> {
        let dir = self.dir_of(name)?;
        let _lock = self.lock()?;
        if let Some(known) = record::read(&dir)? {
            if !volume.external && known.driver_opts != volume.driver_opts {
                return Err(VolumeError::OtherOptions(name.to_owned()));
            }
            // The host's directory may have gone since.
            place(name, &known.driver_opts)?;
            return Ok(known.path);
        }
        if volume.external {
            return Err(VolumeError::NoExternal(name.to_owned()));
        }
        self.make(name, volume, stack, &dir)
    }

    /// Made beside its place and renamed, so that it is there whole or not at all.
    fn make(&self, name: &str, volume: &Volume, stack: &str, dir: &Path) -> Result<PathBuf> {
        let place = place(name, &volume.driver_opts)?;
        let path = match &place {
            Place::Host(directory) => directory.clone(),
            Place::Own(_) | Place::Mounted(_) => dir.join("data"),
        };
        let draft = self.draft();
        let data = draft.join("data");
        fs::create_dir_all(&data).doing("make", &data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))
            .doing("set the mode of", &data)?;
        if let Place::Own(Some(size)) = place
            && let Err(source) = quota::limit(&[&data], size)
        {
            remove_tree(&draft)?;
            return Err(VolumeError::Limit { volume: name.to_owned(), source });
        }
        let record = VolumeRecord {
            name: name.to_owned(),
            stack: stack.to_owned(),
            created: clock::wall(),
            labels: volume.labels.clone(),
            driver_opts: volume.driver_opts.clone(),
            path: path.clone(),
        };
        record::write(&draft, &record)?;
        fs::rename(&draft, dir).doing("make", dir)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).doing("sync", &self.dir)?;
        Ok(path)
    }

    /// The directory that containers see; `None` if there is no such volume.
    ///
    /// # Errors
    /// If the name is none, or the volume cannot be read.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        Ok(self.inspect(name)?.map(|volume| volume.path))
    }

    /// The same, with its file system mounted if it has one of its own.
    ///
    /// # Errors
    /// As for [`path`](Self::path), or if it cannot be mounted.
    pub fn attach(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(record) = self.inspect(name)? else { return Ok(None) };
        if let Place::Mounted(file_system) = place(name, &record.driver_opts)? {
            let _lock = self.lock()?;
            let failed = |source| VolumeError::Mount { volume: name.to_owned(), source };
            mounting::attach(&file_system, &record.path).map_err(failed)?;
        }
        Ok(Some(record.path))
    }

    /// Unmounts the file system of a volume that nobody uses any more. Fine if it has none.
    ///
    /// # Errors
    /// If it is in use.
    pub fn detach(&self, name: &str) -> Result<()> {
        let Some(record) = self.inspect(name)? else { return Ok(()) };
        if self.is_mounted_while_used(&record) {
            let _lock = self.lock()?;
            mounting::detach(&record.path).doing("unmount", &record.path)?;
        }
        Ok(())
    }

    /// Unmounts the file systems of all volumes: nobody uses any.
    ///
    /// # Errors
    /// If one is in use.
    pub fn detach_all(&self) -> Result<()> {
        self.list()?.iter().try_for_each(|volume| self.detach(&volume.name))
    }

    /// Whether a volume has a file system of its own.
    pub fn has_file_system(&self, name: &str) -> bool {
        self.inspect(name).ok().flatten().is_some_and(|record| self.is_mounted_while_used(&record))
    }

    fn is_mounted_while_used(&self, record: &VolumeRecord) -> bool {
        matches!(place(&record.name, &record.driver_opts), Ok(Place::Mounted(_)))
    }

    /// The directory with the files of a volume, if they are there now.
    ///
    /// # Errors
    /// If there is no such volume, or its file system is not mounted.
    pub fn files(&self, name: &str) -> Result<PathBuf> {
        let record = self.inspect(name)?.ok_or_else(|| VolumeError::NotFound(name.to_owned()))?;
        let away = self.is_mounted_while_used(&record)
            && !mounting::is_attached(&record.path).doing("look at", &record.path)?;
        if away { Err(VolumeError::Away(name.to_owned())) } else { Ok(record.path) }
    }

    /// What is known of a volume; `None` if there is no such volume.
    ///
    /// # Errors
    /// If the name is none, or the volume cannot be read.
    pub fn inspect(&self, name: &str) -> Result<Option<VolumeRecord>> {
        record::read(&self.dir_of(name)?)
    }

    /// Whether nothing is in a volume: it may be filled from an image.
    ///
    /// # Errors
    /// If there is no such volume, or it cannot be read.
    pub fn is_empty(&self, name: &str) -> Result<bool> {
        let found = self.inspect(name)?.ok_or_else(|| VolumeError::NotFound(name.to_owned()))?;
        let mut entries = fs::read_dir(&found.path).doing("read", &found.path)?;
        Ok(entries.next().is_none())
    }

    /// All volumes, by name. One whose record is damaged is left out: `inspect` says why.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Vec<VolumeRecord>> {
        let mut found = Vec::new();
        for path in self.entries()? {
            match record::read(&path) {
                Ok(volume) => found.extend(volume.filter(|v| v.name == file_name(&path))),
                Err(error) => tracing::warn!(%error, "skipping a volume"),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes a volume with all that is in it; what a bind volume shows stays. Fine if there is none.
    /// That no container uses it is the caller's to know.
    ///
    /// # Errors
    /// If the name is none, or files cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let dir = self.dir_of(name)?;
        let gone = self.draft();
        let lock = self.lock()?;
        let data = dir.join("data");
        if data.exists() {
            // What is on a file system of its own is not ours to remove.
            mounting::detach(&data).doing("unmount", &data)?;
            // One that stays limits nothing.
            drop(quota::lift(&data));
        }
        match fs::rename(&dir, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => done.doing("remove", &dir)?,
        }
        // A large one takes long; nobody sees it any more.
        drop(lock);
        remove_tree(&gone)
    }

    /// Removes all volumes that are not in `keep`.
    ///
    /// # Errors
    /// If files cannot be removed.
    pub fn prune(&self, keep: &BTreeSet<String>) -> Result<PrunedVolumes> {
        let mut pruned = PrunedVolumes::default();
        for volume in self.list()?.into_iter().filter(|volume| !keep.contains(&volume.name)) {
            pruned.bytes += usage(&self.dir_of(&volume.name)?);
            self.remove(&volume.name)?;
            pruned.volumes.push(volume.name);
        }
        Ok(pruned)
    }

    /// Bytes that a volume takes on the disk; for a bind volume those of the host's directory.
    ///
    /// # Errors
    /// If there is no such volume, or it cannot be read.
    pub fn disk_usage(&self, name: &str) -> Result<u64> {
        let path = self.path(name)?.ok_or_else(|| VolumeError::NotFound(name.to_owned()))?;
        Ok(usage(&path))
    }

    /// Bytes that go with a volume: none of a bind volume's.
    ///
    /// # Errors
    /// If the name is none.
    pub fn own_usage(&self, name: &str) -> Result<u64> {
        Ok(usage(&self.dir_of(name)?))
    }

    /// A name that no volume has, for one that nobody named.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub fn new_name(&self) -> Result<String> {
        let bytes = random::bytes::<32>().doing("ask for a name for", &self.dir)?;
        Ok(hex(&bytes))
    }

    fn dir_of(&self, name: &str) -> Result<PathBuf> {
        let first = |c: char| c.is_ascii_alphanumeric();
        let rest = |c: char| first(c) || matches!(c, '_' | '.' | '-');
        let good = name.starts_with(first) && name.chars().all(rest) && name.len() <= 200;
        if good { Ok(self.dir.join(name)) } else { Err(VolumeError::BadName(name.to_owned())) }
    }

    fn entries(&self) -> Result<Vec<PathBuf>> {
        let read = || fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.path())).collect();
        let found: io::Result<Vec<PathBuf>> = read();
        found.doing("read", &self.dir)
    }

    /// Alone with the volumes, until the file is dropped.
    fn lock(&self) -> Result<File> {
        let path = self.dir.join(".lock");
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = open().doing("open", &path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                done => {
                    done.map_err(io::Error::from).doing("lock", &path)?;
                    return Ok(file);
                }
            }
        }
    }

    /// A path for what is half made or half removed. No volume can have such a name.
    fn draft(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (pid, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.dir.join(format!("{DRAFT}{pid}-{next}-{}", clock::boottime().0.as_nanos()))
    }
}

const DRAFT: &str = ".draft-";

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        // Somebody else swept it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.doing("remove", path),
    }
}

/// Bytes on the disk. What cannot be read counts as nothing: this is for display.
fn usage(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let (mut sum, mut todo) = (0, vec![path.to_owned()]);
    let mut counted = BTreeSet::new();
    while let Some(path) = todo.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.nlink() == 1 || meta.is_dir() || counted.insert((meta.dev(), meta.ino())) {
            sum += meta.blocks() * 512;
        }
        if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            todo.extend(entries.map(|entry| entry.path()));
        }
    }
    sum
}
