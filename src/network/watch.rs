//! Noticing that somebody else changed what is ours.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::netlink::{Answer, answers};
use super::rules::table_of;
use super::{NetworkError, link};
use crate::sys::netlink::{NetlinkFamily, NetlinkSocket};

/// Bit of the group that tells of links (`RTNLGRP_LINK`).
const LINKS: u32 = 1;
/// Bit of the group that tells of nf_tables (`NFNLGRP_NFTABLES`, 7).
const TABLES: u32 = 1 << 6;
const INET: u8 = 1;
const BUFFER: usize = 64 * 1024;
/// Another program may load a large rule set at once.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// What is watched, shared with the one who makes our own changes.
#[derive(Debug)]
pub(super) struct Watched {
    table: String,
    /// The port of the socket that our own changes of rules come from.
    own_port: u32,
    links: Mutex<BTreeSet<String>>,
    table_touched: AtomicBool,
    changes: watch::Sender<u64>,
}

impl Watched {
    pub(super) fn new(table: String, own_port: u32) -> Arc<Self> {
        let links = Mutex::default();
        let changes = watch::Sender::new(0);
        Arc::new(Self { table, own_port, links, table_touched: AtomicBool::new(true), changes })
    }

    /// The bridges that should be there from now on.
    pub(super) fn expect_links(&self, links: BTreeSet<String>) {
        *self.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
    }

    /// Whether somebody touched the table since the last call.
    pub(super) fn take_table_touched(&self) -> bool {
        self.table_touched.swap(false, Ordering::SeqCst)
    }

    /// Notes that the table may not be as it was left.
    pub(super) fn touch_table(&self) {
        self.table_touched.store(true, Ordering::SeqCst);
    }

    /// Counts up with each change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The count now.
    pub(super) fn count(&self) -> u64 {
        *self.changes.borrow()
    }

    fn count_up(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether `answer` tells of a change of ours by somebody else.
    fn concerns(&self, answer: &Answer) -> bool {
        if let Some((family, table)) = table_of(answer) {
            let by_others = answer.port != self.own_port;
            let ours = family == INET && table == self.table;
            if ours && by_others {
                self.touch_table();
            }
            // A filter of docker's or the administrator's may have begun to drop.
            return by_others && (ours || table == "filter");
        }
        let Some(found) = link::read_link(answer) else { return false };
        let expected = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        expected.contains(&found.name) && (link::is_removal(answer) || !found.up)
    }
}

/// Starts to watch, until the returned task is aborted.
pub(super) fn start(watched: &Arc<Watched>) -> Result<tokio::task::JoinHandle<()>, NetworkError> {
    let failed = || NetworkError::kernel("listen to changes of the network");
    let open = |family, groups| {
        let socket = NetlinkSocket::open(family, groups)?;
        // Without the right to a large buffer, notifications may be lost, and that is noticed.
        socket.set_buffers(BUFFER, WAITING_BYTES).unwrap_or_default();
        socket.into_async()
    };
    let links = open(NetlinkFamily::Route, LINKS).map_err(failed())?;
    let tables = open(NetlinkFamily::Netfilter, TABLES).map_err(failed())?;
    let watched = Arc::clone(watched);
    Ok(tokio::spawn(async move {
        let mut buffer = vec![0; BUFFER];
        loop {
            // Waits for the kernel.
            let changed = tokio::select! {
                ready = links.readable() => ready.map(|mut ready| read(&watched, &mut buffer, &mut ready)),
                ready = tables.readable() => ready.map(|mut ready| read(&watched, &mut buffer, &mut ready)),
            };
            match changed {
                Ok(true) => watched.count_up(),
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }))
}

/// Reads what waits at a socket; true if something of it concerns us.
fn read(
    watched: &Watched,
    buffer: &mut [u8],
    ready: &mut tokio::io::unix::AsyncFdReadyGuard<'_, NetlinkSocket>,
) -> bool {
    let mut concerned = false;
    loop {
        match ready.try_io(|socket| socket.get_ref().receive(buffer)) {
            Ok(Ok(length)) => {
                for answer in answers(&buffer[..length]) {
                    concerned |= watched.concerns(&answer);
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            // Notifications were lost (ENOBUFS): anything may have changed.
            Ok(Err(_)) => {
                watched.touch_table();
                return true;
            }
            Err(_would_block) => return concerned,
        }
    }
}
