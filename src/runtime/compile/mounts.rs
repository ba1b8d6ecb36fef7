//! The container's mounts.

use std::ffi::CString;

use super::super::plan::{Attributes, MountPlan, MountSource};
use super::super::wire::Blob;
use super::{Ids, Unfit, path, text};
use crate::model::{HostMount, HostMountSource};
use crate::sys::mounts::{NO_DEV, NO_EXEC, NO_SUID, READ_ONLY};

/// The plan of one mount.
pub(super) fn mount(mount: &HostMount, ids: Ids<'_>) -> Result<MountPlan, Unfit> {
    if !mount.target.starts_with('/') {
        return Err(Unfit(format!("the mount target {:?} is not absolute", mount.target)));
    }
    let mut change = Attributes::default();
    if mount.read_only {
        change.set = READ_ONLY;
    }
    let mut recursive = false;
    let source = match &mount.source {
        HostMountSource::Bind { path: from, subpath, propagation, recursive: all } => {
            recursive = *all;
            MountSource::Bind {
                path: path(from)?,
                subpath: subpath.as_deref().map(text).transpose()?,
                propagation: self::propagation(propagation.as_deref())?,
                recursive,
                id_map: ids.number(),
                id_map_all: true,
            }
        }
        // Given to the container's root (`client::users::give`): it needs no map, which the file system of
        // orca's run directory, in memory, can only have since Linux 6.3.
        HostMountSource::Own { path: from } => MountSource::Bind {
            path: path(from)?,
            subpath: None,
            propagation: libc::MS_PRIVATE,
            recursive: false,
            id_map: None,
            id_map_all: false,
        },
        HostMountSource::Tmpfs { size, mode, options } => {
            tmpfs(*size, *mode, options, &mut change, ids)?
        }
        HostMountSource::File { content, uid, gid, mode } => {
            let (uid, gid) = (ids.user(*uid)?, ids.group(*gid)?);
            MountSource::File { content: Blob(content.clone()), uid, gid, mode: *mode }
        }
        HostMountSource::Layers { lower, subpath } => {
            if lower.is_empty() {
                return Err(Unfit(format!("the image at {:?} has no layers", mount.target)));
            }
            MountSource::Layers {
                lower: lower.iter().map(|layer| path(layer)).collect::<Result<_, _>>()?,
                subpath: subpath.as_deref().map(text).transpose()?,
                id_map: ids.number(),
            }
        }
    };
    let (change, change_all) =
        if recursive { (Attributes::default(), change) } else { (change, Attributes::default()) };
    Ok(MountPlan { target: text(&mount.target)?, change, change_all, source, copy_up: false })
}

fn propagation(name: Option<&str>) -> Result<u64, Unfit> {
    Ok(match name.unwrap_or_default() {
        "" | "rprivate" | "private" => libc::MS_PRIVATE,
        "rshared" | "shared" => libc::MS_SHARED,
        "rslave" | "slave" => libc::MS_SLAVE,
        "runbindable" | "unbindable" => libc::MS_UNBINDABLE,
        other => return Err(Unfit(format!("there is no mount propagation {other:?}"))),
    })
}

/// Docker's defaults (nosuid, nodev, noexec), and what the options change.
fn tmpfs(
    size: Option<u64>,
    mode: Option<u32>,
    options: &[String],
    change: &mut Attributes,
    ids: Ids<'_>,
) -> Result<MountSource, Unfit> {
    change.set |= NO_SUID | NO_DEV | NO_EXEC;
    let mut parameters: Vec<(CString, CString)> = Vec::new();
    let mut set = |key: &str, value: &str| -> Result<(), Unfit> {
        let (key, value) = (text(key)?, text(value)?);
        parameters.retain(|(other, _)| *other != key);
        parameters.push((key, value));
        Ok(())
    };
    if let Some(size) = size {
        set("size", &size.to_string())?;
    }
    if let Some(mode) = mode {
        set("mode", &format!("{:o}", mode & 0o7777))?;
    }
    for option in options.iter().flat_map(|options| options.split(',')) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("" | "rw" | "defaults" | "async" | "relatime" | "nostrictatime", "") => {}
            ("ro", "") => change.set |= READ_ONLY,
            ("suid", "") => change.set &= !NO_SUID,
            ("nosuid", "") => change.set |= NO_SUID,
            ("dev", "") => change.set &= !NO_DEV,
            ("nodev", "") => change.set |= NO_DEV,
            ("exec", "") => change.set &= !NO_EXEC,
            ("noexec", "") => change.set |= NO_EXEC,
            ("noatime", "") => change.set |= 0x10,
            ("nodiratime", "") => change.set |= 0x80,
            (key @ ("uid" | "gid"), value) if !value.is_empty() => {
                let number = value.parse().map_err(|_| {
                    Unfit(format!("tmpfs has no option {option:?}: that is no number"))
                })?;
                let number = if key == "uid" { ids.user(number)? } else { ids.group(number)? };
                set(key, &number.to_string())?;
            }
            (key @ ("size" | "mode" | "nr_inodes" | "nr_blocks" | "huge"), value)
                if !value.is_empty() =>
            {
                set(key, value)?;
            }
            _ => return Err(Unfit(format!("tmpfs has no option {option:?}"))),
        }
    }
    Ok(MountSource::New { kind: c"tmpfs".to_owned(), parameters, propagation: 0 })
}
