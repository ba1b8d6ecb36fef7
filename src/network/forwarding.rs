//! The host as a router, for its containers only.
//!
//! When orca switches forwarding on, the host must not begin to route between the networks that it
//! happened to be in. The links of that moment are written down, and the rules forward nothing from
//! one of them to another. Links that come later (a VPN, another program's bridges) belong to
//! somebody who knows that forwarding is on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::link;
use super::names::ALL_BRIDGES;
use super::netlink::Connection;
use super::{NetworkError, sysctl};

const FOUR: &str = "net/ipv4/ip_forward";
const SIX: &str = "net/ipv6/conf/all/forwarding";

/// The links between which nothing is forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guarded {
    pub(super) four: BTreeSet<String>,
    pub(super) six: BTreeSet<String>,
}

/// Switches forwarding on where it is off. `ipv6` says whether IPv6 is needed too.
pub(super) fn switch_on(
    run: &Path,
    connection: &Connection,
    ipv6: bool,
) -> Result<Guarded, NetworkError> {
    let four = file(run, 4);
    if sysctl::get(FOUR).as_deref() == Some("0") {
        write_down(&four, connection)?;
        sysctl::set(FOUR, "1")?;
    }
    let six = file(run, 6);
    if ipv6 && sysctl::get(SIX).as_deref() == Some("0") {
        let links = write_down(&six, connection)?;
        keep_advertised_routes(&links)?;
        sysctl::set(SIX, "1")?;
    }
    read(run)
}

/// What was written down by this process or one before it.
pub(super) fn read(run: &Path) -> Result<Guarded, NetworkError> {
    Ok(Guarded { four: read_file(&file(run, 4))?, six: read_file(&file(run, 6))? })
}

/// Forgets what was written down. Forwarding stays on: others may rely on it by now.
pub(super) fn forget(run: &Path) -> Result<(), NetworkError> {
    for path in [file(run, 4), file(run, 6)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(NetworkError::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A router does not listen to router advertisements, unless it is told to: the host's own default
/// route must not be lost.
fn keep_advertised_routes(links: &BTreeSet<String>) -> Result<(), NetworkError> {
    for link in links {
        let path = format!("net/ipv6/conf/{link}/accept_ra");
        if sysctl::get(&path).as_deref() == Some("1") {
            sysctl::set(&path, "2")?;
        }
    }
    Ok(())
}

fn write_down(path: &Path, connection: &Connection) -> Result<BTreeSet<String>, NetworkError> {
    let listing = NetworkError::kernel("list the network links");
    let links: BTreeSet<String> = link::links(connection)
        .map_err(listing)?
        .into_iter()
        .map(|link| link.name)
        .filter(|name| name != "lo" && !name.starts_with(ALL_BRIDGES) && !name.starts_with("orv"))
        .collect();
    let text: String = links.iter().flat_map(|link| [link, "\n"]).collect();
    let temporary = path.with_extension("new");
    let failed = NetworkError::file("write", path);
    let parent = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&temporary, text))
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(failed)?;
    Ok(links)
}

fn read_file(path: &Path) -> Result<BTreeSet<String>, NetworkError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(NetworkError::file("read", path)(error)),
    }
}

fn file(run: &Path, family: u8) -> PathBuf {
    run.join(format!("links-before-forwarding-{family}"))
}
