//! `mounts`.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};

use super::super::super::compile::{Unfit, path, text};
use super::super::super::plan::{Attributes, MountPlan, MountSource};
use super::super::error::Result;
use super::options::{Meaning, meaning};
use super::users;
use crate::model::IdMaps;

/// The most mounts of a container.
const MOST: usize = 4096;

/// The plans of all mounts, in order. Relative sources of bind mounts are below `bundle`.
///
/// Numbers of users are those of the namespace with `own`. The users that mounts are seen through are
/// put in `id_maps`.
pub(super) fn all(
    spec: &Spec,
    bundle: &Path,
    own: Option<&IdMaps>,
    id_maps: &mut Vec<IdMaps>,
) -> Result<Vec<MountPlan>> {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    if mounts.len() > MOST {
        return Err(Unfit(format!("there are more than {MOST} mounts")).into());
    }
    mounts
        .iter()
        .enumerate()
        .map(|(at, one)| {
            plan(one, bundle, own, id_maps).map_err(|unfit| {
                let place = one.destination().display();
                Unfit(format!("mounts[{at}] ({place}): {}", unfit.0)).into()
            })
        })
        .collect()
}

/// Whether the host's `/dev`, or some other directory, is the container's.
pub(super) fn binds_dev(spec: &Spec) -> bool {
    spec.mounts().iter().flatten().any(|mount| {
        let place = mount.destination().components().collect::<PathBuf>();
        place == Path::new("/dev") && Words::of(mount).is_ok_and(|words| words.bind.is_some())
    })
}

/// What the options of a mount say.
#[derive(Default)]
struct Words {
    change: Attributes,
    change_all: Attributes,
    propagation: u64,
    bind: Option<bool>,
    id_map: Option<bool>,
    copy_up: bool,
    parameters: Vec<(CString, CString)>,
}

impl Words {
    fn of(mount: &Mount) -> std::result::Result<Self, Unfit> {
        let mut words = Self::default();
        if mount.typ().as_deref() == Some("bind") {
            words.bind = Some(false);
        }
        for word in mount.options().iter().flatten() {
            words.read(word)?;
        }
        Ok(words)
    }

    fn read(&mut self, word: &str) -> std::result::Result<(), Unfit> {
        // A later word wins over an earlier one.
        let apply = |attributes: &mut Attributes, set: u64, clear: u64| {
            attributes.set = (attributes.set & !clear) | set;
            attributes.clear = (attributes.clear & !set) | clear;
        };
        match meaning(word) {
            Some(Meaning::Attribute(set, clear)) => apply(&mut self.change, set, clear),
            Some(Meaning::Recursive(set, clear)) => apply(&mut self.change_all, set, clear),
            Some(Meaning::Propagation(propagation)) => self.propagation = propagation,
            Some(Meaning::Bind(recursive)) => self.bind = Some(recursive),
            Some(Meaning::IdMap(recursive)) => self.id_map = Some(recursive),
            Some(Meaning::CopyUp) => self.copy_up = true,
            Some(Meaning::FileSystem(flag)) => self.parameter(flag, "")?,
            Some(Meaning::Nothing) => {}
            None => {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                if key.is_empty() {
                    return Err(Unfit(format!("{word:?} is no option of a mount")));
                }
                self.parameter(key, value)?;
            }
        }
        Ok(())
    }

    fn parameter(&mut self, key: &str, value: &str) -> std::result::Result<(), Unfit> {
        self.parameters.push((text(key)?, text(value)?));
        Ok(())
    }
}

fn plan(
    mount: &Mount,
    bundle: &Path,
    own: Option<&IdMaps>,
    id_maps: &mut Vec<IdMaps>,
) -> std::result::Result<MountPlan, Unfit> {
    let target = target(mount.destination())?;
    let words = Words::of(mount)?;
    let id_map = id_map(mount, &words, own, id_maps)?;
    let kind = mount.typ().as_deref().unwrap_or_default();
    let Words { change, change_all, propagation, bind, copy_up, mut parameters, .. } = words;
    if let Some(recursive) = bind {
        let from =
            mount.source().as_deref().ok_or_else(|| Unfit("source is missing".to_owned()))?;
        // Without a word, what the host mounts and unmounts there later shows, as with runc.
        let propagation = if propagation == 0 { libc::MS_SLAVE } else { propagation };
        let source = MountSource::Bind {
            path: path(&bundle.join(from))?,
            subpath: None,
            propagation: propagation & !libc::MS_REC,
            recursive,
            id_map: id_map.map(|(number, _)| number),
            id_map_all: id_map.is_some_and(|(_, all)| all),
        };
        return Ok(MountPlan { target, change, change_all, source, copy_up: false });
    }
    let source = match kind {
        "" | "none" => {
            return Err(Unfit("it has no type and is no bind mount".to_owned()));
        }
        "cgroup" | "cgroup2" => MountSource::Cgroups,
        kind => {
            if let Some(from) = mount.source() {
                parameters.insert(0, (c"source".to_owned(), path(from)?));
            }
            own_numbers(&mut parameters, own)?;
            MountSource::New { kind: text(kind)?, parameters, propagation }
        }
    };
    if copy_up && kind != "tmpfs" {
        return Err(Unfit("tmpcopyup is for tmpfs alone".to_owned()));
    }
    let change =
        Attributes { set: change.set | change_all.set, clear: change.clear | change_all.clear };
    Ok(MountPlan { target, change, change_all: Attributes::default(), source, copy_up })
}

/// The number of the users that the mount is seen through, and whether what came along below it is.
fn id_map(
    mount: &Mount,
    words: &Words,
    own: Option<&IdMaps>,
    id_maps: &mut Vec<IdMaps>,
) -> std::result::Result<Option<(u32, bool)>, Unfit> {
    let (users, groups) = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    let maps = match (users.is_some() || groups.is_some(), words.id_map) {
        (false, None) => return Ok(None),
        (true, _) => users::maps(users, groups)?,
        (false, Some(_)) => own.cloned().ok_or_else(|| {
            Unfit("idmap needs uidMappings and gidMappings, or a user namespace".to_owned())
        })?,
    };
    if words.bind.is_none() {
        return Err(Unfit("only a bind mount can be seen through other users".to_owned()));
    }
    let number = id_maps.iter().position(|other| *other == maps).unwrap_or_else(|| {
        id_maps.push(maps);
        id_maps.len() - 1
    });
    let number = u32::try_from(number).map_err(|_| Unfit("too many mappings".to_owned()))?;
    Ok(Some((number, words.id_map == Some(true))))
}

/// File systems are made by root of the host: numbers among their parameters have to be the host's.
fn own_numbers(
    parameters: &mut [(CString, CString)],
    own: Option<&IdMaps>,
) -> std::result::Result<(), Unfit> {
    if own.is_none() {
        return Ok(());
    }
    for (key, value) in parameters {
        let group = key.as_c_str() == c"gid";
        if !group && key.as_c_str() != c"uid" {
            continue;
        }
        if let Some(inside) = value.to_str().ok().and_then(|text| text.parse().ok()) {
            *value = text(&users::outside(own, inside, group)?.to_string())?;
        }
    }
    Ok(())
}

/// Relative paths are below the root: earlier versions of the specification let them be.
fn target(destination: &Path) -> std::result::Result<CString, Unfit> {
    if destination.as_os_str().is_empty() {
        return Err(Unfit("destination is empty".to_owned()));
    }
    path(&Path::new("/").join(destination))
}
