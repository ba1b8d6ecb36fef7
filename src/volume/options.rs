//! Driver options: where the files of a volume really are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::error::{Result, VolumeError};
use crate::model::parse_bytes;

/// Where the files of a volume are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a directory of orca's own, which may hold so many bytes.
    Own(Option<u64>),
    /// In this directory of the host.
    Host(PathBuf),
    /// In a file system of its own, which is mounted while containers use it.
    Mounted(FileSystem),
}

/// What is mounted, in the words of `mount(2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSystem {
    /// Such as `tmpfs` or `nfs`; empty for a directory of the host.
    pub(super) kind: String,
    /// What is mounted.
    pub(super) device: String,
    /// Flags.
    pub(super) flags: MsFlags,
    /// Options of the file system.
    pub(super) data: Vec<String>,
}

/// What the options of `volume` mean, as docker's local driver reads them: `type`, `device` and `o`
/// are those of `mount(8)`, and `size` is how much may be in it.
///
/// # Errors
/// If they make no sense, or ask for what is not done.
pub(super) fn place(volume: &str, options: &BTreeMap<String, String>) -> Result<Place> {
    let refuse = |reason: String| VolumeError::Options { volume: volume.to_owned(), reason };
    for key in options.keys() {
        if !matches!(key.as_str(), "type" | "o" | "device" | "size") {
            return Err(refuse(format!(
                "driver option `{key}` is not supported; known are type, o, device and size"
            )));
        }
    }
    let get = |key: &str| options.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    let size = get("size").map(size).transpose().map_err(refuse)?;
    let (kind, device) = (get("type").unwrap_or("none"), get("device"));
    let (flags, data) = flags(get("o").unwrap_or_default());
    if (get("type"), get("o"), device) == (None, None, None) {
        return Ok(Place::Own(size));
    }
    if matches!(kind, "none" | "bind") && !flags.contains(MsFlags::MS_BIND) && kind != "bind" {
        return Err(refuse(
            "driver option `type` says what to mount, such as tmpfs or nfs; for a directory of the \
             host, write `type: none`, `o: bind`, `device: /path`"
                .to_owned(),
        ));
    }
    let bind = kind == "bind" || flags.contains(MsFlags::MS_BIND);
    if bind {
        if size.is_some() {
            let reason = "`size` cannot limit a directory of the host".to_owned();
            return Err(refuse(reason));
        }
        let device = host_directory(device).map_err(refuse)?;
        let rest = flags.difference(MsFlags::MS_BIND | MsFlags::MS_REC);
        if let Some(unknown) = data.first() {
            return Err(refuse(format!("option `{unknown}` makes no sense for a bind volume")));
        }
        if rest.is_empty() {
            return Ok(Place::Host(device));
        }
        let (kind, device) = (String::new(), device.display().to_string());
        let flags = flags | MsFlags::MS_BIND;
        return Ok(Place::Mounted(FileSystem { kind, device, flags, data }));
    }
    let file_system = mounted(kind, device, flags, data, size).map_err(refuse)?;
    Ok(Place::Mounted(file_system))
}

fn size(text: &str) -> std::result::Result<u64, String> {
    let bytes = parse_bytes(text).map_err(|error| format!("driver option `size`: {error}"))?;
    let positive = u64::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    positive.ok_or_else(|| format!("driver option `size`: `{text}` is no size"))
}

/// The directory of the host that a bind volume shows.
fn host_directory(device: Option<&str>) -> std::result::Result<PathBuf, String> {
    let device = device.map(Path::new).ok_or("a bind volume needs `device: /path`")?;
    if !device.is_absolute() {
        return Err(format!("`device: {}` must be an absolute path", device.display()));
    }
    if !device.is_dir() {
        return Err(format!("{} is no directory on this host; make it first", device.display()));
    }
    Ok(device.to_owned())
}

fn mounted(
    kind: &str,
    device: Option<&str>,
    flags: MsFlags,
    mut data: Vec<String>,
    size: Option<u64>,
) -> std::result::Result<FileSystem, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !kind.chars().all(word) {
        return Err(format!("driver option `type`: `{kind}` is no file system"));
    }
    match (kind, size) {
        ("tmpfs", Some(size)) => data.push(format!("size={size}")),
        (_, None) => {}
        (_, Some(_)) => {
            return Err(format!("`size` cannot limit a volume of type {kind}"));
        }
    }
    let device = match (kind, device) {
        (_, Some(device)) => device,
        ("tmpfs", None) => "tmpfs",
        (_, None) => return Err(format!("a volume of type {kind} needs `device`")),
    };
    if matches!(kind, "nfs" | "nfs4") && !data.iter().any(|option| option.starts_with("addr=")) {
        return Err(format!(
            "a volume of type {kind} needs the server's address: `o: addr=192.0.2.1,rw`"
        ));
    }
    let (kind, device) = (kind.to_owned(), device.to_owned());
    Ok(FileSystem { kind, device, flags, data })
}

/// The flags of `mount(2)` among options, and the options of the file system.
fn flags(options: &str) -> (MsFlags, Vec<String>) {
    let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
    for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        match option {
            "defaults" | "rw" | "suid" | "dev" | "exec" | "async" | "atime" => {}
            "ro" => flags |= MsFlags::MS_RDONLY,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "sync" => flags |= MsFlags::MS_SYNCHRONOUS,
            "dirsync" => flags |= MsFlags::MS_DIRSYNC,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            "nodiratime" => flags |= MsFlags::MS_NODIRATIME,
            "relatime" => flags |= MsFlags::MS_RELATIME,
            "strictatime" => flags |= MsFlags::MS_STRICTATIME,
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            other => data.push(other.to_owned()),
        }
    }
    (flags, data)
}
