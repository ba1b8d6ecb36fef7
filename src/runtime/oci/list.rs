//! `state` and `list`.

use serde::Serialize;

use super::super::hooks::HookState;
use super::error::Result;
use super::state::{Container, Store};

/// A container, as `list` and `state` show it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(flatten)]
    state: HookState,
    rootfs: String,
    created: String,
    owner: String,
}

impl Listed {
    fn of(container: &Container) -> Self {
        Self {
            state: container.shown(),
            rootfs: container.record.rootfs.display().to_string(),
            created: container.record.created.clone(),
            owner: container.record.owner.to_string(),
        }
    }

    /// Its cells in a table: id, process, status, bundle, time, owner.
    pub fn cells(&self) -> [String; 6] {
        let status = serde_json::to_value(self.state.status).unwrap_or_default();
        [
            self.state.id.clone(),
            self.state.pid.to_string(),
            status.as_str().unwrap_or_default().to_owned(),
            self.state.bundle.display().to_string(),
            self.created.clone(),
            format!("#{}", self.owner),
        ]
    }
}

/// One container.
///
/// # Errors
/// If it is not there.
pub fn state(store: &Store, id: &str) -> Result<Listed> {
    Ok(Listed::of(&store.container(id)?))
}

/// All containers of the store.
///
/// # Errors
/// If the store cannot be read.
pub fn list(store: &Store) -> Result<Vec<Listed>> {
    // One that goes away meanwhile is not missed.
    Ok(store
        .ids()?
        .iter()
        .filter_map(|id| store.container(id).ok())
        .map(|c| Listed::of(&c))
        .collect())
}
