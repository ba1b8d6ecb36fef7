//! Bundles: a directory with a `config.json`, as the runtime specification has it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Process, Spec};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::capabilities::CapSet;
use super::error::{Context as _, OciError, Result};

/// The file in a bundle that says what to run.
pub(super) const CONFIG: &str = "config.json";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// A configuration as it was read.
#[derive(Debug)]
pub(super) struct Config {
    /// What it says.
    pub spec: Spec,
    /// Its bytes, to be kept.
    pub text: Vec<u8>,
    /// What of it is passed over, in sentences.
    pub warnings: Vec<String>,
}

/// The absolute path of the bundle.
pub(super) fn directory(bundle: Option<&Path>) -> Result<PathBuf> {
    let bundle = bundle.unwrap_or(Path::new("."));
    bundle.canonicalize().cannot(|| format!("use the bundle {}", bundle.display()))
}

/// Reads and checks the configuration at `path`.
pub(super) fn read(path: &Path) -> Result<Config> {
    let text = read_file(path)?;
    let (spec, warnings) = parse::<Spec>(&text, path)?;
    check_version(spec.version(), path)?;
    Ok(Config { spec, text, warnings })
}

/// Reads the process in a file, as `exec --process` has it.
pub(super) fn read_process(path: &Path) -> Result<(Process, Vec<String>)> {
    parse(&read_file(path)?, path)
}

/// The bytes of a file that somebody else wrote.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let shown = || format!("read {}", path.display());
    // Not to wait for who writes, if it is a pipe.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).cannot(shown)?);
    if !file.metadata().cannot(shown)?.is_file() {
        return Err(OciError::new(format!("{} is not a file", path.display())));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text).cannot(shown)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(OciError::new(format!("{} is larger than {MAX_FILE} bytes", path.display())));
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(text: &[u8], path: &Path) -> Result<(T, Vec<String>)> {
    let first = match serde_json::from_slice(text) {
        Ok(value) => return Ok((value, Vec::new())),
        Err(error) => error,
    };
    let failed = |error: &dyn std::fmt::Display| {
        OciError::new(format!("{} is not valid: {error}", path.display()))
    };
    // The specification wants capabilities that nobody can grant to be told of and passed over, and
    // the types of the library that reads them have no place for those.
    let mut value: Value = serde_json::from_slice(text).map_err(|error| failed(&error))?;
    let mut unknown = BTreeSet::new();
    for place in ["/process/capabilities", "/capabilities"] {
        if let Some(sets) = value.pointer_mut(place).and_then(Value::as_object_mut) {
            sets.values_mut().for_each(|names| pass_over_unknown(names, &mut unknown));
        }
    }
    let mut respelled = false;
    for place in ["/process/scheduler/flags", "/scheduler/flags"] {
        respelled |= value.pointer_mut(place).is_some_and(respell);
    }
    if unknown.is_empty() && !respelled {
        return Err(failed(&first));
    }
    let warnings = ignoring(&unknown).into_iter().collect();
    serde_json::from_value(value).map(|read| (read, warnings)).map_err(|error| failed(&error))
}

/// Flags that the library spells in another way than the specification; whether there were any.
fn respell(flags: &mut Value) -> bool {
    let mut any = false;
    for flag in flags.as_array_mut().into_iter().flatten() {
        let spelled = match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => "SCHED_RESET_ON_FORK",
            Some("SCHED_FLAG_DL_OVERRUN") => "SCHED_FLAG_D_L_OVERRUN",
            _ => continue,
        };
        *flag = spelled.into();
        any = true;
    }
    any
}

fn pass_over_unknown(names: &mut Value, unknown: &mut BTreeSet<String>) {
    let Some(names) = names.as_array_mut() else { return };
    names.retain(|name| {
        let Some(text) = name.as_str() else { return true };
        let known = CapSet::parse([text]).is_ok();
        if !known {
            unknown.insert(text.chars().take(80).collect());
        }
        known
    });
}

/// What is said of capabilities that nobody can grant, in runc's words; nothing of none.
pub(super) fn ignoring(names: &BTreeSet<String>) -> Option<String> {
    let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    (!names.is_empty()).then(|| format!("ignoring unknown or unavailable capabilities: [{names}]"))
}

fn check_version(version: &str, path: &Path) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    let numbers = version.split(['.', '-', '+']).take(3);
    let whole = numbers.filter(|part| part.parse::<u32>().is_ok()).count() == 3;
    match (whole, major) {
        (true, "1") => Ok(()),
        (false, _) => Err(OciError::new(format!(
            "{}: ociVersion {version:?} is not a version such as 1.2.0",
            path.display()
        ))),
        (true, _) => Err(OciError::new(format!(
            "{}: ociVersion {version} is not supported: this is a runtime of version 1",
            path.display()
        ))),
    }
}
