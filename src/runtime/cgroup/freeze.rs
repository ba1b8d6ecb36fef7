//! Stopping all processes of a cgroup at once, for a while or for good.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::io::Errno;

use super::{Cgroup, CgroupError, Version, files};

/// How long all processes have to freeze. One in the kernel without a signal's notice (a hung disk)
/// may take for ever.
const FREEZE_WAIT: Duration = Duration::from_secs(5);
/// How long a kill process by process goes on.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// How often a state is looked at.
const TICK: Duration = Duration::from_millis(1);

impl Cgroup {
    /// Stops all processes until [`Cgroup::thaw`].
    ///
    /// # Errors
    /// If they do not all stop in five seconds; they then run on. Or if there is no freezer.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let (dir, version) = self.freezer().ok_or(CgroupError::NoFreezer)?;
        let frozen = freeze(dir, version, FREEZE_WAIT);
        if frozen.is_err() {
            // A part that stays frozen would hold even SIGKILL back.
            self.thaw()?;
        }
        frozen
    }

    /// Lets them run again.
    ///
    /// # Errors
    /// If the kernel refuses, or there is no freezer.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let (dir, version) = self.freezer().ok_or(CgroupError::NoFreezer)?;
        match version {
            Version::V1 => files::write(dir, "freezer.state", "THAWED"),
            Version::V2 => files::write(dir, "cgroup.freeze", "0"),
        }
    }

    /// Whether it is frozen, or on its way there.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn frozen(&self) -> Result<bool, CgroupError> {
        let Some((dir, version)) = self.freezer() else { return Ok(false) };
        Ok(match version {
            Version::V1 => files::read(&dir.join("freezer.state"))?.trim() != "THAWED",
            Version::V2 => files::read(&dir.join("cgroup.freeze"))?.trim() == "1",
        })
    }

    /// Kills every process in it and below it, also when it is frozen. The processes are dying when
    /// this returns, not gone: wait for [`Cgroup::pids`] to be empty.
    ///
    /// # Errors
    /// If the kernel refuses, or if there is no `cgroup.kill` and processes are still there after
    /// ten seconds.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let killed = match self.v2() {
            Some(dir) => match files::write(&dir.path, "cgroup.kill", "1") {
                // Linux before 5.14.
                Err(error) if error.is(Errno::NOENT) && dir.path.is_dir() => self.kill_each(),
                Err(error) if error.is(Errno::NOENT) => Ok(()),
                killed => killed,
            },
            None => self.kill_each(),
        };
        // In v1, SIGKILL does nothing to a frozen process until it is thawed: always thaw.
        match self.freezer() {
            Some((dir, Version::V1)) if dir.is_dir() => self.thaw().and(killed),
            _ => killed,
        }
    }

    /// Freezes, so that no process can fork away; kills; thaws; until none is left.
    fn kill_each(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + KILL_WAIT;
        loop {
            if let Some((dir, version)) = self.freezer() {
                // Best effort: without it the loop only takes longer.
                drop(freeze(dir, version, Duration::from_millis(100)));
            }
            let pids = self.pids();
            for pid in pids.iter().flatten().filter_map(|pid| i32::try_from(*pid).ok()) {
                // Gone meanwhile is as good.
                let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if self.freezer().is_some() {
                drop(self.thaw());
            }
            if pids?.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let path = self.paths().next().unwrap_or(Path::new("")).to_owned();
                return Err(CgroupError::NotKilled { path });
            }
            sleep(TICK);
        }
    }

    /// The directory that freezes. v1 first: where both are there, other tools look at v1.
    fn freezer(&self) -> Option<(&Path, Version)> {
        let dir = self.dir("freezer").or_else(|| self.v2())?;
        Some((&dir.path, dir.version))
    }
}

fn freeze(dir: &Path, version: Version, wait: Duration) -> Result<(), CgroupError> {
    let deadline = Instant::now() + wait;
    loop {
        let frozen = match version {
            Version::V1 => {
                // Written again each time: a process that forked while v1 froze can slip through.
                files::write(dir, "freezer.state", "FROZEN")?;
                files::read(&dir.join("freezer.state"))?.trim() == "FROZEN"
            }
            Version::V2 => {
                files::write(dir, "cgroup.freeze", "1")?;
                files::field(&files::read(&dir.join("cgroup.events"))?, "frozen") == 1
            }
        };
        if frozen {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(CgroupError::NotFrozen { path: dir.to_owned() });
        }
        sleep(TICK);
    }
}
