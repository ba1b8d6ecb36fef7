//! What is known of a container between two commands, in a directory of its own below the state
//! directory.
//!
//! `state.json` says what was made, `config.json` is a copy of the configuration, `go` and `result`
//! are the named pipes of a container that has not been started. All else is asked of the kernel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::super::cgroup::{Cgroup, Part};
use super::super::hooks::{HookState, Status};
use super::bundle::{self, CONFIG};
use super::error::{Context as _, OciError, Result};

const STATE: &str = "state.json";
/// The named pipe through which a created container is started.
pub(super) const GO: &str = "go";
/// The named pipe through which it tells how that went.
pub(super) const RESULT: &str = "result";
/// The longest id, in bytes.
const MAX_ID: usize = 240;

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// What was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// What hooks are told: version, id, bundle, annotations.
    #[serde(flatten)]
    pub state: HookState,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// When it was made.
    pub created: String,
    /// Who made it.
    pub owner: u32,
    /// When the kernel made its first process, in its own units: tells it from a later one.
    pub start_time: u64,
    /// Its cgroup.
    pub cgroup: Vec<Part>,
    /// Whether its files are mounted in the host's own mount namespace.
    pub mounted_on_host: bool,
    /// Whether there are hooks for when it starts and for when it is gone.
    pub has_hooks: bool,
}

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    /// Its directory.
    pub dir: PathBuf,
    /// What was made.
    pub record: Record,
}

impl Store {
    /// Where containers are kept unless said otherwise.
    pub const DEFAULT: &str = "/run/orca/oci";

    /// The store at `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory of the container `id`, which need not be there.
    pub(super) fn dir(&self, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        Ok(self.root.join(id))
    }

    /// Takes the id for a new container.
    pub(super) fn claim(&self, id: &str) -> Result<PathBuf> {
        let dir = self.dir(id)?;
        let make =
            |path: &Path, all: bool| fs::DirBuilder::new().mode(0o700).recursive(all).create(path);
        make(&self.root, true).cannot(|| format!("make {}", self.root.display()))?;
        match make(&dir, false) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(OciError::new(format!("container with given ID already exists: {id:?}")))
            }
            made => made.cannot(|| format!("make {}", dir.display())).map(|()| dir),
        }
    }

    /// The container `id`.
    pub(super) fn container(&self, id: &str) -> Result<Container> {
        let dir = self.dir(id)?;
        let path = dir.join(STATE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OciError::gone(id));
            }
            text => text.cannot(|| format!("read {}", path.display()))?,
        };
        let record = serde_json::from_slice(&text)
            .map_err(|error| OciError::new(format!("{} is damaged: {error}", path.display())))?;
        Ok(Container { dir, record })
    }

    /// The ids of all containers.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.cannot(|| format!("read {}", self.root.display()))?,
        };
        let mut ids = entries
            .flatten()
            .filter(|entry| entry.path().join(STATE).exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect::<Vec<_>>();
        ids.sort();
        Ok(ids)
    }
}

impl Container {
    /// Writes the record.
    pub(super) fn write(&self) -> Result<()> {
        let shown = || format!("write {}", self.dir.join(STATE).display());
        let text = serde_json::to_vec(&self.record).map_err(|e| OciError::new(e.to_string()))?;
        let new = self.dir.join("state.new");
        let mut file = File::create(&new).cannot(shown)?;
        file.write_all(&text).cannot(shown)?;
        drop(file);
        fs::rename(new, self.dir.join(STATE)).cannot(shown)
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.record.state.id
    }

    /// Its cgroup.
    pub(super) fn cgroup(&self) -> Cgroup {
        Cgroup::from_parts(self.record.cgroup.clone())
    }

    /// The configuration that it was made from.
    pub(super) fn spec(&self) -> Result<Spec> {
        Ok(bundle::read(&self.dir.join(CONFIG))?.spec)
    }

    /// Where it is in its life, as far as the kernel tells.
    pub(super) fn status(&self) -> Status {
        if !self.is_alive() {
            return Status::Stopped;
        }
        if self.dir.join(GO).exists() {
            return if self.record.state.status == Status::Creating {
                Status::Creating
            } else {
                Status::Created
            };
        }
        if self.cgroup().frozen().unwrap_or(false) { Status::Paused } else { Status::Running }
    }

    fn is_alive(&self) -> bool {
        look(self.record.state.pid).is_some_and(|(state, start_time)| {
            !matches!(state, 'Z' | 'X') && start_time == self.record.start_time
        })
    }

    /// A handle on its first process.
    pub(super) fn first(&self) -> Result<OwnedFd> {
        let gone = || OciError::new(format!("container {:?} is not running", self.id()));
        let pid = Pid::from_raw(self.record.state.pid).ok_or_else(gone)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        // The number may be another process's by now; the handle, once checked, is not.
        if self.is_alive() { Ok(pidfd) } else { Err(gone()) }
    }

    /// The state as the specification wants it shown.
    pub(super) fn shown(&self) -> HookState {
        let status = self.status();
        let pid = if status == Status::Stopped { 0 } else { self.record.state.pid };
        self.record.state.with(status, pid)
    }
}

/// The state letter of a process and when the kernel made it; `None` once it is gone.
pub(super) fn look(pid: i32) -> Option<(char, u64)> {
    if pid <= 0 {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 3 and 22; what follows the name's closing bracket starts with field 3.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Ids are names of directories: nothing in them may lead elsewhere.
fn check_id(id: &str) -> Result<()> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-' | b'.');
    if id.is_empty() {
        return Err(OciError::new("the container id is empty"));
    }
    if id.len() > MAX_ID || id == "." || id == ".." || !id.bytes().all(plain) {
        let shown: String = id.chars().take(80).collect();
        return Err(OciError::new(format!(
            "invalid container id {shown:?}: it is at most {MAX_ID} letters, digits and _ + - ."
        )));
    }
    Ok(())
}

/// The annotations of a configuration, in order.
pub(super) fn annotations(spec: &Spec) -> BTreeMap<String, String> {
    spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}
