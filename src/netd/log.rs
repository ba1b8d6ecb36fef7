//! A log that does not grow for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// When the log is longer than this, it starts again.
const MAX_SIZE: u64 = 1 << 20;

/// Opens the log at `path` to be appended to, and cuts it if it is long.
///
/// # Errors
/// If it cannot be opened or cut.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    cut(&file)?;
    Ok(file)
}

fn cut(file: &File) -> io::Result<()> {
    if file.metadata()?.len() > MAX_SIZE {
        file.set_len(0)?;
    }
    Ok(())
}

/// Sends what this process has to say to `file`. `ORCA_LOG` tells how much; by default starts,
/// ends, and what went wrong.
pub(super) fn start(file: File) {
    let filter = EnvFilter::try_from_env("ORCA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = Bounded(Arc::new(Mutex::new(file)));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer);
    // In a test there may be one already, which then gets the lines.
    subscriber.try_init().ok();
}

/// A file that starts again when it is long.
#[derive(Debug, Clone)]
struct Bounded(Arc<Mutex<File>>);

impl Write for Bounded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cut(&file)?;
        file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Bounded {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_long_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netd.log");
        let mut log = Bounded(Arc::new(Mutex::new(open(&path).unwrap())));
        let line = [b'x'; 1024];
        for _ in 0..5000 {
            log.write_all(&line).unwrap();
        }
        let length = std::fs::metadata(&path).unwrap().len();
        assert!((1024..=MAX_SIZE + 2048).contains(&length), "{length}");
        std::fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
        drop(open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
