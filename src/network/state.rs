//! What is known to be in force, and the steps from there to what is wanted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::bridge::{self, Network};
use super::connections::{self, Which};
use super::names::Names;
use super::netlink::{Batch, Connection};
use super::rules::{self, Family, Kind, RuleSet, listing};
use super::watch::Watched;
use super::{NetworkError, forwarding, kernel, link, neighbours};
use crate::model::{NetworkTable, Protocol};

/// The ways to the kernel and what was last put in force over them.
#[derive(Debug)]
pub(super) struct State {
    names: Names,
    run: PathBuf,
    route: Connection,
    filter: Connection,
    watched: Arc<Watched>,
    /// The table that is in force as a whole, and the count of changes when it was put in force.
    applied: Option<(NetworkTable, u64)>,
    networks: Arc<BTreeMap<String, Network>>,
    rules: Option<InForce>,
    nonce: u64,
}

#[derive(Debug)]
struct InForce {
    rules: RuleSet,
    fingerprint: String,
}

impl State {
    pub(super) fn open(names: Names, run: PathBuf) -> Result<Self, NetworkError> {
        let (route, filter) = kernel::open()?;
        kernel::check(&route, &filter, &names.table)?;
        neighbours::warn_of_legacy_rules();
        let port = filter.socket().port();
        let port = port.map_err(NetworkError::kernel("open a socket for the packet filter"))?;
        let watched = Watched::new(names.table.clone(), port);
        // The names of links made by a process before this one must not come again.
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
        let nonce = now.map_or(0, |now| std::time::Duration::from(now).as_nanos());
        Ok(Self {
            names,
            run,
            route,
            filter,
            watched,
            applied: None,
            networks: Arc::default(),
            rules: None,
            nonce: u64::try_from(nonce).unwrap_or_default(),
        })
    }

    pub(super) fn watched(&self) -> &Arc<Watched> {
        &self.watched
    }

    /// The networks in force, and a number that was never used.
    pub(super) fn networks_for_a_sandbox(&mut self) -> (Arc<BTreeMap<String, Network>>, u64) {
        self.nonce = self.nonce.wrapping_add(1);
        (Arc::clone(&self.networks), self.nonce)
    }

    /// See [`super::Networks::apply`].
    pub(super) fn apply(&mut self, table: &NetworkTable) -> Result<(), NetworkError> {
        let count = self.watched.count();
        let untouched = self.applied.as_ref().filter(|(_, before)| *before == count);
        if untouched.is_some_and(|(applied, _)| applied == table) {
            return Ok(());
        }
        let bridges_stay = untouched.is_some_and(|(old, _)| old.bridges == table.bridges);
        self.applied = None;
        if !bridges_stay {
            self.apply_bridges(table)?;
        }
        self.apply_rules(table)?;
        if !bridges_stay {
            neighbours::accept(&self.filter, &self.names.bridge_prefix())?;
        }
        self.applied = Some((table.clone(), count));
        Ok(())
    }

    fn apply_bridges(&mut self, table: &NetworkTable) -> Result<(), NetworkError> {
        let links = table.bridges.keys().map(|name| self.names.bridge(name)).collect();
        self.watched.expect_links(links);
        self.networks = Arc::new(bridge::assert(&self.route, &self.names, &table.bridges)?);
        if !table.bridges.is_empty() {
            let ipv6 = table.bridges.values().any(|bridge| bridge.subnet6.is_some());
            forwarding::switch_on(&self.run, &self.route, ipv6)?;
        }
        Ok(())
    }

    fn apply_rules(&mut self, table: &NetworkTable) -> Result<(), NetworkError> {
        let wanted = RuleSet::of(&self.names, table, forwarding::read(&self.run)?);
        let touched = self.watched.take_table_touched();
        let new_ports = self.new_datagram_ports(&wanted);
        let changed = match self.rules.take() {
            Some(old) if !touched => self.change_rules(&old, &wanted),
            Some(_) => self.load_rules(&wanted),
            None => self.take_over_or_load_rules(&wanted),
        };
        // Whatever did not work as a change works from the ground up: somebody took away what the
        // change built on.
        let fingerprint = changed.or_else(|_| self.load_rules(&wanted)).inspect_err(|_| {
            self.watched.touch_table();
        })?;
        self.rules = Some(InForce { rules: wanted, fingerprint });
        self.forget_connections(&new_ports)
    }

    fn change_rules(&self, old: &InForce, wanted: &RuleSet) -> Result<String, NetworkError> {
        if old.rules == *wanted {
            return Ok(old.fingerprint.clone());
        }
        let (transaction, fingerprint) = rules::change(&old.rules, &old.fingerprint, wanted);
        self.commit(transaction)?;
        Ok(fingerprint)
    }

    /// Loads all rules, unless a process before this one left exactly these.
    fn take_over_or_load_rules(&self, wanted: &RuleSet) -> Result<String, NetworkError> {
        let (transaction, fingerprint) = rules::load(wanted);
        if !self.are_in_force(&fingerprint, &transaction)? {
            self.commit(transaction)?;
        }
        Ok(fingerprint)
    }

    fn load_rules(&self, wanted: &RuleSet) -> Result<String, NetworkError> {
        let (transaction, fingerprint) = rules::load(wanted);
        self.commit(transaction)?;
        Ok(fingerprint)
    }

    /// Whether the table has the chain of this name, and as much in it as the transaction would put
    /// there.
    fn are_in_force(
        &self,
        fingerprint: &str,
        whole: &rules::Transaction,
    ) -> Result<bool, NetworkError> {
        const CHAIN_NAME: u16 = 3;
        let list = |kind, part: Option<&str>| {
            let listing = listing(kind, Family::Inet, Some(&self.names.table), part);
            self.filter.ask(&listing).map_err(NetworkError::kernel("list the rules in force"))
        };
        let has_fingerprint = list(Kind::GetChain, None)?.iter().any(|chain| {
            let attributes = chain.attributes(4);
            attributes.text(1) == Some(&self.names.table)
                && attributes.text(CHAIN_NAME) == Some(fingerprint)
        });
        if !has_fingerprint || list(Kind::GetRule, None)?.len() != whole.rules() {
            return Ok(false);
        }
        let mut elements = 0;
        for set in rules::set_names() {
            elements += list(Kind::GetElements, Some(set))?
                .iter()
                .map(rules::count_elements)
                .sum::<usize>();
        }
        Ok(elements == whole.elements_added())
    }

    fn commit(&self, transaction: rules::Transaction) -> Result<(), NetworkError> {
        let batch = transaction.finish();
        self.filter.send(&batch).map_err(NetworkError::kernel("put the rules in force"))
    }

    /// The UDP ports that `wanted` publishes and that were not published before. A client that sent
    /// to one in vain is known to the kernel as untranslated, for as long as it goes on.
    fn new_datagram_ports(&self, wanted: &RuleSet) -> Vec<Which> {
        let known = self.rules.as_ref().map(|old| &old.rules.ports);
        let ports = wanted.ports.keys().filter(|port| {
            port.protocol == Protocol::Udp && !known.is_some_and(|known| known.contains_key(port))
        });
        ports.map(|port| Which::Untranslated(port.protocol, port.port)).collect()
    }

    pub(super) fn forget_connections(&self, which: &[Which]) -> Result<(), NetworkError> {
        connections::forget(&self.filter, which)
    }

    /// Removes the rules and the links.
    pub(super) fn remove_all(&mut self) -> Result<(), NetworkError> {
        self.applied = None;
        self.rules = None;
        self.networks = Arc::default();
        self.watched.expect_links(std::collections::BTreeSet::new());
        self.watched.touch_table();
        neighbours::withdraw(&self.filter, &self.names.bridge_prefix())?;
        self.commit(rules::unload(&self.names.table))?;
        self.remove_links()?;
        forwarding::forget(&self.run)
    }

    fn remove_links(&self) -> Result<(), NetworkError> {
        let mut batch = Batch::new();
        link::remove_group(&mut batch, self.names.group());
        // There may be none, and the kernel may be removing some of them just now.
        self.route
            .send_expecting(&batch, |error| {
                super::netlink::error_number(error) == Some(libc::ENODEV)
            })
            .map_err(NetworkError::kernel("remove the links"))
    }
}
