//! Programs that wait, end, or print.

use std::io::{self, BufWriter, Write as _};
use std::time::Duration;

use clap::Args;

use super::{Outcome, watch_for_stop};

/// How long to wait.
#[derive(Debug, Clone, Args)]
pub struct Sleep {
    /// Seconds to wait; for ever without.
    seconds: Option<u64>,
}

/// How to end.
#[derive(Debug, Clone, Args)]
pub struct Exit {
    /// The status to end with.
    #[arg(default_value_t = 0)]
    pub(super) code: u8,
}

/// What to print.
#[derive(Debug, Clone, Args)]
pub struct Print {
    /// How many lines.
    lines: u64,
    /// Milliseconds to wait between lines.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    every: u64,
    /// Print to the standard error.
    #[arg(long)]
    stderr: bool,
}

pub(super) async fn sleep(options: Sleep) -> Outcome<()> {
    let stop = watch_for_stop()?;
    let wait = async {
        match options.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait => Ok(()),
        () = stop => Ok(()),
    }
}

pub(super) async fn print(options: Print) -> Outcome<()> {
    let stop = watch_for_stop()?;
    let printed = async {
        let out: Box<dyn io::Write> =
            if options.stderr { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let mut out = BufWriter::with_capacity(64 << 10, out);
        for number in 1..=options.lines {
            writeln!(out, "line {number}")?;
            if options.every > 0 {
                out.flush()?;
                tokio::time::sleep(Duration::from_millis(options.every)).await;
            }
        }
        out.flush()
    };
    tokio::select! {
        done = printed => done.map_err(|error| format!("cannot print: {error}")),
        () = stop => Ok(()),
    }
}
