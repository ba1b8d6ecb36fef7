//! What the web server shows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::fetch;
use super::names::Names;
use super::url::Url;

/// How long the other server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pages, and what they need.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) message: String,
    pub(super) upstream: Option<Url>,
    pub(super) names: Names,
    pub(super) unhealthy_after: Option<u64>,
    pub(super) counter: Counter,
    /// How often `/health` was asked.
    pub(super) probes: AtomicU64,
}

impl Pages {
    /// The status and the text of the page at `path`.
    pub(super) async fn show(&self, path: &str) -> (u16, String) {
        match path {
            "/" => self.front().await,
            "/health" => self.health(),
            "/env" => (200, environment()),
            "/hostname" => (200, format!("{}\n", hostname())),
            "/counter" => match self.counter.next() {
                Ok(count) => (200, format!("{count}\n")),
                Err(why) => (500, format!("{why}\n")),
            },
            _ => {
                (404, "there is no such page; there are / /health /env /hostname /counter\n".into())
            }
        }
    }

    async fn front(&self) -> (u16, String) {
        let own = format!("{} (from {})\n", self.message, hostname());
        let Some(upstream) = &self.upstream else { return (200, own) };
        match fetch::get(upstream, &self.names, PATIENCE).await {
            Ok(page) => {
                let theirs = String::from_utf8_lossy(&page.body).into_owned();
                let status = if page.status < 400 { 200 } else { 502 };
                (status, format!("{own}{upstream} says: {}\n", theirs.trim_end()))
            }
            Err(why) => (502, format!("{own}{why}\n")),
        }
    }

    fn health(&self) -> (u16, String) {
        let probes = self.probes.fetch_add(1, Ordering::Relaxed);
        match self.unhealthy_after {
            Some(limit) if probes >= limit => (503, "unhealthy\n".to_owned()),
            _ => (200, "healthy\n".to_owned()),
        }
    }
}

fn environment() -> String {
    let mut lines: Vec<_> = std::env::vars_os()
        .map(|(name, value)| format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy()))
        .collect();
    lines.sort();
    lines.concat()
}

/// The name of the container, as its kernel namespace has it.
fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Counts visits, across restarts if there is a file for it.
#[derive(Debug)]
pub(super) struct Counter {
    file: Option<PathBuf>,
    count: Mutex<u64>,
}

impl Counter {
    /// Goes on from what the file says; from 0 if there is none yet.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub(super) fn open(file: Option<PathBuf>) -> Result<Self, String> {
        let count = file.as_deref().map_or(Ok(0), read)?;
        Ok(Self { file, count: Mutex::new(count) })
    }

    fn next(&self) -> Result<u64, String> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let next = count.saturating_add(1);
        if let Some(file) = &self.file {
            let path = file.display();
            write(file, next).map_err(|error| format!("cannot write {path}: {error}"))?;
        }
        *count = next;
        Ok(next)
    }
}

fn read(file: &Path) -> Result<u64, String> {
    let path = file.display();
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(|_| format!("{path} does not hold a number")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("cannot read {path}: {error}")),
    }
}

/// Whole or not at all, and on the disk when it returns.
fn write(file: &Path, count: u64) -> io::Result<()> {
    let next = file.with_added_extension("new");
    fs::write(&next, format!("{count}\n"))?;
    fs::File::open(&next)?.sync_all()?;
    fs::rename(&next, file)
}
