//! The devices that are described on this host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::spec::{Edits, Spec};
use super::{CdiError, yaml};

/// The largest description in bytes, and the most of them.
const MAX_BYTES: u64 = 4 << 20;
const MAX_FILES: usize = 1000;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Registry {
    specs: Vec<(PathBuf, Spec)>,
    /// By full name: which description, and which of its devices.
    devices: BTreeMap<String, Place>,
    /// Files that could not be read, and why.
    troubles: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    At {
        directory: usize,
        spec: usize,
        device: usize,
    },
    /// Two descriptions of one directory have it.
    Twice {
        directory: usize,
    },
}

impl Registry {
    /// Reads the directories; a later one wins.
    pub(super) fn read(directories: &[&Path]) -> Self {
        let mut registry = Self::default();
        for (number, directory) in directories.iter().enumerate() {
            for path in files(directory) {
                match read(&path) {
                    Ok(spec) => registry.add(number, path, spec),
                    Err(why) => registry.troubles.push(format!("{}: {why}", path.display())),
                }
            }
        }
        registry
    }

    fn add(&mut self, directory: usize, path: PathBuf, spec: Spec) {
        let number = self.specs.len();
        for (device, named) in spec.devices.iter().enumerate() {
            let name = format!("{}={}", spec.kind, named.name);
            let here = Place::At { directory, spec: number, device };
            let place =
                match self.devices.get(&name) {
                    Some(
                        Place::At { directory: other, .. } | Place::Twice { directory: other },
                    ) if *other == directory => Place::Twice { directory },
                    _ => here,
                };
            self.devices.insert(name, place);
        }
        self.specs.push((path, spec));
    }

    /// The names of a kind's devices, numbers in their order.
    pub(super) fn of_kind(&self, kind: &str) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .devices
            .keys()
            .filter_map(|name| name.split_once('=').filter(|(of, _)| *of == kind).map(|(_, n)| n))
            .collect();
        names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), *name));
        names
    }

    /// The kinds whose class is `class`.
    pub(super) fn kinds(&self, class: &str) -> Vec<&str> {
        let mut kinds: Vec<&str> =
            self.devices.keys().filter_map(|name| name.split_once('=').map(|(k, _)| k)).collect();
        kinds.retain(|kind| kind.split_once('/').is_some_and(|(_, of)| of == class));
        kinds.dedup();
        kinds
    }

    /// What these devices bring: what is for all devices of a description comes once, and first.
    pub(super) fn edits(&self, names: &[String]) -> Result<Vec<&Edits>, CdiError> {
        let mut used: Vec<usize> = Vec::new();
        let mut edits: Vec<&Edits> = Vec::new();
        let mut seen: Vec<&String> = Vec::new();
        for name in names {
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let (number, device) = match self.devices.get(name) {
                Some(Place::At { spec, device, .. }) => (*spec, *device),
                Some(Place::Twice { .. }) => {
                    return Err(CdiError(format!("the device {name:?} is described twice")));
                }
                None => return Err(self.unknown(&format!("there is no device {name:?}"))),
            };
            let Some((path, spec)) = self.specs.get(number) else { continue };
            if !used.contains(&number) {
                used.push(number);
                edits.push(&spec.container_edits);
            }
            edits.extend(spec.devices.get(device).map(|device| &device.container_edits));
            let last = edits.iter().rev().take(2);
            for edits in last {
                edits.check().map_err(|why| {
                    CdiError(format!("cannot use the device {name:?} of {}: {why}", path.display()))
                })?;
            }
        }
        Ok(edits)
    }

    /// An error that says what there is instead.
    pub(super) fn unknown(&self, what: &str) -> CdiError {
        let known = self.devices.keys().map(String::as_str).collect::<Vec<_>>();
        let known = match known.as_slice() {
            [] => format!("none is described in {}", super::DIRECTORIES.join(" or ")),
            known => format!("there are: {}", known.join(", ")),
        };
        let mut text = [what, &known].join("; ");
        if !self.troubles.is_empty() {
            text = [text, format!("not read: {}", self.troubles.join("; "))].join("; ");
        }
        CdiError(text)
    }
}

/// The descriptions in a directory, by name.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json" || kind == "yaml"))
        .take(MAX_FILES)
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Spec, String> {
    let mut text = String::new();
    let limit = MAX_BYTES + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let value = match path.extension() {
        Some(kind) if kind == "json" => {
            serde_json::from_str(&text).map_err(|error| error.to_string())?
        }
        _ => yaml::parse(&text)?,
    };
    let spec: Spec = serde_json::from_value(value).map_err(|error| error.to_string())?;
    spec.check()?;
    Ok(spec)
}
