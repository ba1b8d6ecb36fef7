//! What the command tells: to standard error, and to the file that an engine reads.

use std::fs::File;
use std::io::Write as _;

use serde_json::json;

use super::args::{Global, LogFormat};
use crate::runtime::oci::Voice;

/// Where it goes.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// The log that the options ask for.
    pub(super) fn open(global: &Global) -> Result<Self, String> {
        let open = |path: &std::path::PathBuf| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|error| format!("cannot open the log {}: {error}", path.display()))
        };
        let file = global.log.as_ref().map(open).transpose()?;
        Ok(Self { file, json: global.log_format == LogFormat::Json, debug: global.debug })
    }

    /// Why it failed.
    pub(super) fn error(&self, text: &str) {
        let _gone = writeln!(std::io::stderr(), "orca: error: {text}");
        self.line("error", text);
    }

    /// One line in the file, in one piece: several commands may write it.
    fn line(&self, level: &str, text: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let now = jiff::Timestamp::now().to_string();
        let line = if self.json {
            format!("{}\n", json!({ "level": level, "msg": text, "time": now }))
        } else {
            format!("time={now:?} level={level} msg={text:?}\n")
        };
        let _full = file.write_all(line.as_bytes());
    }
}

impl Voice for Log {
    fn warn(&self, text: &str) {
        if self.file.is_none() {
            let _gone = writeln!(std::io::stderr(), "orca: warning: {text}");
        }
        self.line("warning", text);
    }

    fn debug(&self, text: &str) {
        if !self.debug {
            return;
        }
        if self.file.is_none() {
            let _gone = writeln!(std::io::stderr(), "orca: {text}");
        }
        self.line("debug", text);
    }
}
