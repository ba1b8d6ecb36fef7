//! Driver options: where the files of a volume really are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{Result, VolumeError};

/// The directory of the host that the options of `volume` mean; `None` for one of orca's own. Only
/// bind mounts are done, as in `type: none, o: bind, device: /path`.
///
/// # Errors
/// If the options ask for anything else.
pub(super) fn device(volume: &str, options: &BTreeMap<String, String>) -> Result<Option<PathBuf>> {
    let refuse = |reason: String| VolumeError::Options { volume: volume.to_owned(), reason };
    for key in options.keys() {
        if !matches!(key.as_str(), "type" | "o" | "device") {
            let reason =
                format!("driver option `{key}` is not supported; known are type, o and device");
            return Err(refuse(reason));
        }
    }
    let get = |key: &str| options.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    let (kind, flags, device) = (get("type"), get("o"), get("device"));
    if (kind, flags, device) == (None, None, None) {
        return Ok(None);
    }
    let bind = kind == Some("bind")
        || flags.is_some_and(|flags| {
            flags.split(',').any(|flag| matches!(flag.trim(), "bind" | "rbind"))
        });
    if !bind {
        let kind = kind.unwrap_or("none");
        let instead = match kind {
            "tmpfs" => "use a mount of `type: tmpfs` in the service",
            _ => {
                "mount it on the host, and name that directory: `type: none`, `o: bind`, `device: /path`"
            }
        };
        return Err(refuse(format!("driver option `type: {kind}` is not supported; {instead}")));
    }
    let Some(device) = device.map(Path::new) else {
        return Err(refuse("a bind volume needs `device: /path`".to_owned()));
    };
    if !device.is_absolute() {
        let reason = format!("`device: {}` must be an absolute path", device.display());
        return Err(refuse(reason));
    }
    if !device.is_dir() {
        let reason = format!("{} is no directory on this host; make it first", device.display());
        return Err(refuse(reason));
    }
    Ok(Some(device.to_owned()))
}
