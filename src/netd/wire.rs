//! A state as bytes. What many sandboxes share is written once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::model::{DnsSandbox, DnsTable, HeldPort, NetdState, Publication, TaskId};

/// A state with its shared parts apart.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    generation: u64,
    views: Vec<View>,
    sandboxes: BTreeMap<TaskId, Sandbox>,
    ports: BTreeSet<HeldPort>,
    forwards: Vec<Publication>,
}

/// What sandboxes share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct View {
    names: Arc<BTreeMap<String, Vec<IpAddr>>>,
    reverse: Arc<BTreeMap<IpAddr, String>>,
    own_networks: Arc<Vec<IpNet>>,
}

/// What is a sandbox's own.
#[derive(Debug, Serialize, Deserialize)]
struct Sandbox {
    netns: PathBuf,
    /// Which of the views.
    view: usize,
    forward: bool,
    upstreams: Vec<IpAddr>,
}

/// The state as bytes.
pub(super) fn encode(state: &NetdState) -> serde_json::Result<Vec<u8>> {
    let mut written = Written {
        generation: state.dns.generation,
        ports: state.ports.clone(),
        forwards: state.forwards.clone(),
        ..Written::default()
    };
    for (task, sandbox) in &state.dns.sandboxes {
        let view = View {
            names: Arc::clone(&sandbox.names),
            reverse: Arc::clone(&sandbox.reverse),
            own_networks: Arc::clone(&sandbox.own_networks),
        };
        // Comparing shared parts is comparing pointers.
        let known = written.views.iter().position(|known| *known == view);
        let view = known.unwrap_or_else(|| {
            written.views.push(view);
            written.views.len() - 1
        });
        let own = Sandbox {
            netns: sandbox.netns.clone(),
            view,
            forward: sandbox.forward,
            upstreams: sandbox.upstreams.clone(),
        };
        written.sandboxes.insert(*task, own);
    }
    serde_json::to_vec(&written)
}

/// The state that bytes say.
pub(super) fn decode(bytes: &[u8]) -> serde_json::Result<NetdState> {
    let Written { generation, views, sandboxes, ports, forwards } = serde_json::from_slice(bytes)?;
    let mut dns = DnsTable { generation, ..DnsTable::default() };
    for (task, own) in sandboxes {
        let view = views.get(own.view).cloned();
        let view = view.ok_or_else(|| serde_json::Error::custom("a sandbox has no view"))?;
        let sandbox = DnsSandbox {
            netns: own.netns,
            names: view.names,
            reverse: view.reverse,
            own_networks: view.own_networks,
            forward: own.forward,
            upstreams: own.upstreams,
        };
        dns.sandboxes.insert(task, sandbox);
    }
    Ok(NetdState { dns, ports, forwards })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_and_shares_what_it_shared() {
        let names =
            Arc::new(BTreeMap::from([("web".to_owned(), vec!["10.0.0.2".parse().unwrap()])]));
        let sandbox = |netns: &str| DnsSandbox {
            netns: netns.into(),
            names: Arc::clone(&names),
            forward: true,
            ..DnsSandbox::default()
        };
        let mut state = NetdState::default();
        state.dns.generation = 7;
        for i in 0..100 {
            state.dns.sandboxes.insert(TaskId(i), sandbox(&format!("/run/{i}")));
        }
        state.dns.sandboxes.insert(TaskId(100), DnsSandbox::default());
        let bytes = encode(&state).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes).matches("web").count(), 1);
        assert_eq!(decode(&bytes).unwrap(), state);
    }

    #[test]
    fn a_view_that_is_not_there_is_an_error() {
        let text = r#"{"sandboxes":{"1":{"netns":"/x","view":3,"forward":true,"upstreams":[]}}}"#;
        assert!(decode(text.as_bytes()).unwrap_err().to_string().contains("no view"));
    }
}
