//! What is in force: the whole value, put in force at once and kept on disk.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use super::Paths;
use super::ports::Ports;
use super::protocol::MAX_BODY;
use crate::dns::Resolvers;
use crate::model::{NetdReport, NetdState};

/// All that the helper has open.
#[derive(Debug)]
pub(super) struct InForce {
    resolvers: Resolvers,
    ports: Ports,
    report: NetdReport,
}

impl InForce {
    /// Nothing yet. Questions for the outside go to the servers that `resolv_conf` names.
    pub(super) fn new(resolv_conf: &Path) -> Self {
        Self {
            resolvers: Resolvers::new(resolv_conf),
            ports: Ports::default(),
            report: NetdReport::default(),
        }
    }

    /// Makes `state` so, as far as the host lets it.
    pub(super) async fn put(&mut self, state: NetdState) -> NetdReport {
        let generation = state.dns.generation;
        let refused = self.ports.put(&state.ports, &state.forwards).await;
        let failed = self.resolvers.put(state.dns).await;
        self.report = NetdReport { generation, refused, failed };
        self.report.clone()
    }

    /// What came of the last state.
    pub(super) fn report(&self) -> NetdReport {
        self.report.clone()
    }
}

/// Keeps `body`, a state, for a successor.
///
/// # Errors
/// If it cannot be written. The old one is then still there.
pub(super) fn save(paths: &Paths, body: &[u8]) -> io::Result<()> {
    fs::write(&paths.next_state, body)?;
    fs::rename(&paths.next_state, &paths.state)
}

/// The state that a predecessor left, without the sandboxes that are gone. Nothing if there is none,
/// or it cannot be read: the daemon brings a new one.
pub(super) fn restore(paths: &Paths) -> NetdState {
    let mut state = match load(&paths.state) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return NetdState::default(),
        Err(error) => {
            let path = paths.state.display();
            tracing::warn!(%error, %path, "cannot read the state of the last helper");
            return NetdState::default();
        }
    };
    state.dns.sandboxes.retain(|_, sandbox| is_netns(&sandbox.netns));
    state
}

fn load(path: &Path) -> io::Result<NetdState> {
    let mut body = Vec::new();
    File::open(path)?.take(u64::from(MAX_BODY) + 1).read_to_end(&mut body)?;
    if body.len() > MAX_BODY as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    serde_json::from_slice(&body).map_err(io::Error::from)
}

/// Whether a namespace is bound at `path`. After its end an empty file may be left.
fn is_netns(path: &Path) -> bool {
    nix::sys::statfs::statfs(path)
        .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}
