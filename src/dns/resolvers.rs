//! All servers of an instance, made to match a table.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::forward::Forwarder;
use super::server::{Server, Sockets};
use super::view::View;
use crate::model::{DNS_ADDRESS, DNS_PORT, DnsTable, DnsZone, TaskId};

/// The servers that run, one for each sandbox.
#[derive(Debug)]
pub struct Resolvers {
    servers: BTreeMap<TaskId, Running>,
    zones: BTreeMap<String, Arc<DnsZone>>,
    forwarder: Arc<Forwarder>,
}

#[derive(Debug)]
struct Running {
    server: Server,
    netns: Identity,
}

/// What tells one namespace from another that is later bound to the same path.
type Identity = (u64, u64);

/// A server to start.
struct Wanted {
    task: TaskId,
    view: Arc<View>,
}

impl Resolvers {
    /// No servers yet. Questions for the outside go to the servers that the file `resolv_conf` names.
    pub fn new(resolv_conf: impl Into<PathBuf>) -> Self {
        Self {
            servers: BTreeMap::new(),
            zones: BTreeMap::new(),
            forwarder: Arc::new(Forwarder::new(resolv_conf.into())),
        }
    }

    /// Puts `table` in force: servers whose sandbox is not in it end, new ones start, and all others
    /// answer from the new table without having stopped. Returns the sandboxes without a server, and
    /// why; they are tried again with the next table.
    pub async fn put(&mut self, table: DnsTable) -> BTreeMap<TaskId, String> {
        let stays = |task: &TaskId, running: &mut Running| {
            table.sandboxes.get(task).is_some_and(|wanted| running.is_in(&wanted.netns))
        };
        for (_, gone) in self.servers.extract_if(.., |task, running| !stays(task, running)) {
            gone.server.stop().await;
        }
        self.zones = shared(table.zones, &self.zones);
        let mut missing = Vec::new();
        for (task, sandbox) in table.sandboxes {
            let zones = sandbox.zones.iter().filter_map(|key| self.zones.get(key)).cloned();
            let view = Arc::new(View { zones: zones.collect(), sandbox });
            match self.servers.get(&task) {
                Some(running) if *running.server.view() == *view => {}
                Some(running) => running.server.swap(view),
                None => missing.push(Wanted { task, view }),
            }
        }
        self.start(missing).await
    }

    /// How many servers run.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether no server runs.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    async fn start(&mut self, missing: Vec<Wanted>) -> BTreeMap<TaskId, String> {
        // It fails only when the runtime is ending.
        let opened = tokio::task::spawn_blocking(move || open(missing)).await.unwrap_or_default();
        let mut failed = BTreeMap::new();
        for (wanted, sockets) in opened {
            let started = sockets.and_then(|(netns, sockets)| {
                let server = Server::start(sockets, wanted.view, Arc::clone(&self.forwarder))?;
                Ok(Running { server, netns })
            });
            match started {
                Ok(running) => drop(self.servers.insert(wanted.task, running)),
                Err(error) => drop(failed.insert(wanted.task, explain(&error))),
            }
        }
        failed
    }
}

impl Running {
    fn is_in(&self, netns: &Path) -> bool {
        identity(netns).is_ok_and(|identity| identity == self.netns)
    }
}

/// The zones of a new table: the old ones where nothing changed, so that views which share them are
/// seen to be the same at a glance.
fn shared(
    zones: BTreeMap<String, DnsZone>,
    old: &BTreeMap<String, Arc<DnsZone>>,
) -> BTreeMap<String, Arc<DnsZone>> {
    zones
        .into_iter()
        .map(|(key, zone)| match old.get(&key) {
            Some(same) if **same == zone => (key, Arc::clone(same)),
            _ => (key, Arc::new(zone)),
        })
        .collect()
}

/// Opens the sockets of each server.
fn open(missing: Vec<Wanted>) -> Vec<(Wanted, io::Result<(Identity, Sockets)>)> {
    missing
        .into_iter()
        .map(|wanted| {
            let netns = &wanted.view.sandbox.netns;
            let sockets = identity(netns).and_then(|id| Ok((id, Sockets::open(netns)?)));
            (wanted, sockets)
        })
        .collect()
}

fn identity(netns: &Path) -> io::Result<Identity> {
    let meta = fs::metadata(netns)?;
    Ok((meta.dev(), meta.ino()))
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the network namespace is gone".to_owned(),
        io::ErrorKind::AddrInUse => {
            format!("{DNS_ADDRESS}:{DNS_PORT} is in use in the network namespace")
        }
        io::ErrorKind::AddrNotAvailable => {
            "the loopback interface of the network namespace is down".to_owned()
        }
        _ => format!("cannot listen on {DNS_ADDRESS}:{DNS_PORT}: {error}"),
    }
}
