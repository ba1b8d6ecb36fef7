//! All that one sandbox sees: its own names, and the zones that it shares with others.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{DnsSandbox, DnsZone};

/// What one sandbox sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Its own part of the table.
    pub sandbox: DnsSandbox,
    /// The zones that it names, in its order.
    pub zones: Vec<Arc<DnsZone>>,
}

impl View {
    /// The addresses of `name`: its own, or those of the first zone in which it has any. An empty
    /// list if the name is known and nobody answers to it just now; `None` if it is not known.
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        let own = std::iter::once(&self.sandbox.names);
        let mut found = None;
        for names in own.chain(self.zones.iter().map(|zone| &zone.names)) {
            match names.get(name) {
                Some(addresses) if !addresses.is_empty() => return Some(addresses),
                Some(nobody) => found = Some(nobody.as_slice()),
                None => {}
            }
        }
        found
    }

    /// The name of `address`.
    pub fn name_of(&self, address: IpAddr) -> Option<&str> {
        let own = std::iter::once(&self.sandbox.reverse);
        own.chain(self.zones.iter().map(|zone| &zone.reverse))
            .find_map(|reverse| reverse.get(&address))
            .map(String::as_str)
    }
}
