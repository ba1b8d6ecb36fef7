//! Keeps the network helper's names and held ports at the latest state.
//!
//! Many starts ask for new names at the same moment; they are answered together: whoever asks is told
//! once a table that was computed after the question is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::LinuxHost;
use crate::engine::{Host as _, looping};
use crate::model::{HeldPort, NetdReport, NetdState, NetworkTable, Protocol};
use crate::plan;

/// The wait before a helper that does not answer is asked again.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// The conversation with the network helper.
#[derive(Debug)]
pub(super) struct Naming {
    asked: watch::Sender<u64>,
    done: watch::Sender<u64>,
    report: Mutex<NetdReport>,
}

impl Naming {
    pub(super) fn new() -> Self {
        Self { asked: watch::Sender::new(0), done: watch::Sender::new(0), report: Mutex::default() }
    }

    /// Asks for a new table, and does not wait for it.
    pub(super) fn ask(&self) -> u64 {
        let mut question = 0;
        self.asked.send_modify(|count| {
            *count += 1;
            question = *count;
        });
        question
    }

    /// Waits until a table is in force that knows all that is known now.
    pub(super) async fn in_force(&self) {
        let question = self.ask();
        let mut done = self.done.subscribe();
        // The sender is in `self`, so the wait cannot end early.
        drop(done.wait_for(|done| *done >= question).await);
    }

    /// The ports that others have, and who.
    pub(super) fn refused(&self) -> BTreeMap<(Protocol, u16), String> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let taken =
            |(port, holder): &(HeldPort, String)| ((port.protocol, port.port), holder.clone());
        report.refused.iter().map(taken).collect()
    }

    /// Answers questions for as long as the host is there.
    pub(super) fn spawn(&self, host: &Arc<LinuxHost>) {
        tokio::spawn(answer(Arc::downgrade(host), self.asked.subscribe()));
        tokio::spawn(revive(Arc::downgrade(host)));
    }
}

async fn answer(host: Weak<LinuxHost>, mut asked: watch::Receiver<u64>) {
    let mut last = None;
    let mut generation = 0;
    while asked.changed().await.is_ok() {
        let began = Instant::now();
        loop {
            let Some(host) = host.upgrade().filter(|host| !host.hands.netd.is_closed()) else {
                return;
            };
            let question = *asked.borrow_and_update();
            let mut state = host.netd_state().await;
            if last.as_ref() != Some(&state) {
                let unchanged = state.clone();
                generation += 1;
                state.dns.generation = generation;
                match host.hands.netd.put(&state).await {
                    Ok(report) => host.naming.keep(&host, report),
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "names are not up to date");
                        drop(host);
                        sleep(RETRY_WAIT).await;
                        continue;
                    }
                }
                last = Some(unchanged);
            }
            host.naming.done.send_replace(question);
            break;
        }
        sleep(looping::rest(began.elapsed())).await;
    }
}

/// Brings the helper back when it ends: whatever is put to it starts it again.
async fn revive(host: Weak<LinuxHost>) {
    loop {
        let Some(netd) = host.upgrade().map(|host| Arc::clone(&host.hands.netd)) else { return };
        netd.gone().await;
        sleep(RETRY_WAIT).await;
        let Some(host) = host.upgrade().filter(|host| !host.hands.netd.is_closed()) else { return };
        if let Err(error) = netd.get().await {
            warn!(error = &error as &dyn std::error::Error, "the network helper is gone");
        }
        host.naming.ask();
    }
}

impl Naming {
    fn keep(&self, host: &LinuxHost, report: NetdReport) {
        let mut kept = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = kept.refused != report.refused;
        *kept = report;
        drop(kept);
        if differs {
            host.touch();
        }
    }
}

impl LinuxHost {
    /// All that the network helper should hold now.
    async fn netd_state(&self) -> NetdState {
        let agreed = Arc::clone(&self.inner().agreed);
        let observed = self.observe(&agreed).await;
        let inner = self.inner();
        let dns = plan::names(&agreed, &observed, &inner.sandboxes);
        NetdState {
            dns,
            ports: held_ports(&inner.wanted_network),
            forwards: inner.network.publications.clone(),
        }
    }
}

/// The ports that a network table publishes.
pub(super) fn held_ports(table: &NetworkTable) -> BTreeSet<HeldPort> {
    let held = |publication: &crate::model::Publication| HeldPort {
        host_ip: publication.host_ip,
        port: publication.host_port,
        protocol: publication.protocol,
    };
    table.publications.iter().map(held).collect()
}
