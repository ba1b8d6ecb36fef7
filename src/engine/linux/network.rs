//! Putting the network in force.

use std::time::Duration;

use tracing::warn;

use super::LinuxHost;
use crate::engine::Problem;
use crate::model::NetworkTable;

/// The wait before a network that could not be put in force is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

impl LinuxHost {
    /// Puts `table` in force, without the ports that others have: those are problems.
    pub(super) async fn put_network_table(&self, table: &NetworkTable) -> Vec<Problem> {
        let (free, mut problems) = self.without_taken_ports(table);
        self.inner().wanted_network = table.clone();
        let applied = if self.is_empty(table) {
            self.rest().await
        } else {
            self.inner().resting = false;
            self.hands.networks.apply(&free).await
        };
        match applied {
            Ok(()) => {
                let differs = std::mem::replace(&mut self.inner().network, free.clone()) != free;
                if differs {
                    self.refresh_routes().await;
                }
            }
            Err(error) => {
                problems.push(Problem {
                    stack: String::new(),
                    service: None,
                    message: sentence(&error),
                });
                self.touch_later(RETRY_WAIT);
            }
        }
        // Names depend on what is agreed and observed, not only on the network; a table that does not
        // differ from the last costs no message.
        self.naming.ask();
        problems
    }

    /// Whether there is nothing to run, and nothing left of what ran.
    fn is_empty(&self, table: &NetworkTable) -> bool {
        let inner = self.inner();
        *table == NetworkTable::default()
            && inner.agreed.tasks.is_empty()
            && inner.sandboxes.is_empty()
            && inner.operations.is_idle()
            && self.hands.runtime.containers().is_empty()
    }

    /// Leaves nothing in the kernel while there is nothing to run. The next start makes it anew.
    async fn rest(&self) -> Result<(), crate::network::NetworkError> {
        if self.inner().resting {
            return Ok(());
        }
        self.hands.networks.remove_all().await?;
        if let Err(error) = self.hands.runtime.close().await {
            warn!(error = &error as &dyn std::error::Error, "the launcher or its cgroup stays");
        }
        self.inner().resting = true;
        Ok(())
    }

    fn without_taken_ports(&self, table: &NetworkTable) -> (NetworkTable, Vec<Problem>) {
        let taken = self.naming.refused();
        let mut free = table.clone();
        let mut problems = Vec::new();
        for publication in &table.publications {
            let key = (publication.protocol, publication.host_port);
            let Some(holder) = taken.get(&key) else { continue };
            let (stack, service) = publication.owner.split_once('/').unwrap_or_default();
            problems.push(Problem {
                stack: stack.to_owned(),
                service: Some(service.to_owned()),
                message: format!(
                    "cannot publish port {}/{}: {holder}",
                    publication.host_port,
                    publication.protocol.as_str()
                ),
            });
        }
        // The ports stay asked for, so that they are taken as soon as they are free; they only do not
        // lead anywhere until then.
        let is_taken = |protocol, port| taken.contains_key(&(protocol, port));
        free.publications.retain(|p| !is_taken(p.protocol, p.host_port));
        (free, problems)
    }

    async fn refresh_routes(&self) {
        if let Ok(routes) = self.hands.networks.on_link().await {
            self.inner().on_link = routes;
        }
    }

    /// Wakes the loop after a wait.
    pub(super) fn touch_later(&self, wait: Duration) {
        let changed = self.changed.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            changed.send_modify(|count| *count += 1);
        });
    }
}

/// An error and its causes as one sentence.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
