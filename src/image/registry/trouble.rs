//! What to try again, and when.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::settings::{Timeouts, Watcher};
use crate::image::error::ImageError;
use crate::model::Progress;
use crate::sys::random;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It will fail again.
    Final(ImageError),
    /// It may work later.
    Passing {
        /// What happened.
        error: ImageError,
        /// Not before this time from now, if the registry said so.
        wait: Option<Duration>,
    },
    /// Nobody is there. They may come back, but mostly the name is wrong, or the network is away: it is
    /// not tried for long.
    Away(ImageError),
}

pub(super) type Tried<T> = Result<T, Trouble>;

impl From<ImageError> for Trouble {
    fn from(error: ImageError) -> Self {
        Self::Final(error)
    }
}

impl Trouble {
    pub(super) fn passing(error: ImageError) -> Self {
        Self::Passing { error, wait: None }
    }
}

/// Counts tries, and waits between them.
#[derive(Debug)]
pub(super) struct Patience {
    timeouts: Timeouts,
    tried: u32,
}

/// The longest wait that a registry may ask for: nobody sits and waits for an hour.
const LONGEST: Duration = Duration::from_secs(60);

/// How often somebody who is not there is looked for again.
const AWAY: u32 = 2;

impl Patience {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, tried: 0 }
    }

    /// Something worked: the count begins again.
    pub(super) fn encourage(&mut self) {
        self.tried = 0;
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// The trouble's own error, if it makes no sense to try again, or it was tried often enough.
    pub(super) fn wait(
        &mut self,
        trouble: Trouble,
        watcher: &dyn Watcher,
    ) -> Result<(), ImageError> {
        let (error, asked) = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Passing { error, wait } => (error, wait),
            Trouble::Away(error) if self.tried >= AWAY => return Err(error),
            Trouble::Away(error) => (error, None),
        };
        if self.tried >= self.timeouts.retries {
            return Err(error);
        }
        if let Some(asked) = asked.filter(|asked| *asked > LONGEST) {
            return Err(not_before(error, asked));
        }
        let doubled = self.timeouts.back_off.saturating_mul(1 << self.tried.min(10));
        self.tried += 1;
        // Many hosts that failed together should not come back together.
        let wait = jittered(asked.unwrap_or(doubled).min(LONGEST));
        let reason = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        watcher.progress(Progress::Retry { reason, wait });
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            cancelled(watcher)?;
            thread::sleep(left.min(Duration::from_millis(100)));
        }
        cancelled(watcher)
    }

    /// Does `work` until it works or makes no more sense.
    pub(super) fn retry<T>(
        mut self,
        watcher: &dyn Watcher,
        mut work: impl FnMut() -> Tried<T>,
    ) -> Result<T, ImageError> {
        // Ends with `wait`, which counts.
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(trouble) => self.wait(trouble, watcher)?,
            }
        }
    }
}

/// `wait` and up to a quarter more.
fn jittered(wait: Duration) -> Duration {
    let share = u32::try_from(random::below(250)).unwrap_or(0);
    wait + wait * share / 1000
}

/// The error with the time after which trying again may help.
fn not_before(error: ImageError, wait: Duration) -> ImageError {
    match error {
        ImageError::Registry { doing, reason } => {
            let reason = format!("{reason}; it asks to come back in {} seconds", wait.as_secs());
            ImageError::Registry { doing, reason }
        }
        other => other,
    }
}

/// Ends the work if nobody wants it any more.
pub(super) fn cancelled(watcher: &dyn Watcher) -> Result<(), ImageError> {
    if watcher.cancelled() {
        let source = io::Error::new(io::ErrorKind::Interrupted, "it was cancelled");
        return Err(ImageError::Io { doing: "finish the transfer".to_owned(), source });
    }
    Ok(())
}
