//! Programs that a service wants run in its containers after their start and before their end.
//!
//! Where a container is with its hooks is also kept in a small file in the run directory: it is empty
//! while they have not all ended, and says why once one has failed. A new daemon runs again what its
//! predecessor was killed in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::{LinuxHost, remove_quietly};
use crate::model::{ContainerId, Exit, Hook};
use crate::runtime::{ContainerPhase, ExecRequest};

/// How long all hooks after a start may take together. Before an end it is the time that the
/// container itself has for it.
const POST_START_MAX: Duration = Duration::from_secs(600);

/// The exit status of a container that was ended because a hook failed.
const HOOK_FAILED: i32 = 125;

/// Where containers are with their hooks after the start.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pending: BTreeSet<ContainerId>,
    failed: BTreeMap<ContainerId, String>,
}

impl Hooks {
    /// Whether hooks of a container are still to end.
    pub(super) fn pending(&self, id: &ContainerId) -> bool {
        self.pending.contains(id)
    }

    /// How a container ended: a failed hook is the reason, whatever its program made of the signal.
    pub(super) fn judge(&self, id: &ContainerId, exit: Exit) -> Exit {
        match self.failed.get(id) {
            Some(why) => Exit { code: HOOK_FAILED, error: Some(why.clone()), ..exit },
            None => exit,
        }
    }
}

impl LinuxHost {
    /// Notes that a container that is about to start has hooks.
    pub(super) fn expect_hooks(&self, id: &ContainerId, hooks: &[Hook]) {
        if !hooks.is_empty() {
            self.write_hooks(id, "");
            self.inner().hooks.pending.insert(id.clone());
        }
    }

    /// Takes in what an earlier daemon knew of a container's hooks. Returns those to be run once its
    /// program runs.
    pub(super) fn recall_hooks(&self, id: &ContainerId) -> Vec<Hook> {
        let Ok(failed) = std::fs::read_to_string(self.hooks_file(id)) else { return Vec::new() };
        let mut inner = self.inner();
        if failed.is_empty() {
            inner.hooks.pending.insert(id.clone());
            drop(inner);
            let record = self.hands.runtime.container(id);
            record.map(|record| record.container.post_start.clone()).unwrap_or_default()
        } else {
            inner.hooks.failed.insert(id.clone(), failed);
            Vec::new()
        }
    }

    /// Runs the hooks of a container that has started, and ends it if one fails. The step does not
    /// wait: a hook that hangs must not keep anyone from stopping the container.
    pub(super) fn begin_hooks(self: &Arc<Self>, id: &ContainerId, hooks: Vec<Hook>) {
        if hooks.is_empty() {
            return;
        }
        let (host, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            let run = timeout(POST_START_MAX, host.run_hooks(&id, &hooks, "post_start")).await;
            let done = run.unwrap_or_else(|_| {
                Err(format!("post_start has not ended after {} s", POST_START_MAX.as_secs()))
            });
            match done {
                Ok(()) => remove_quietly(&host.hooks_file(&id)),
                Err(why) => host.end_after_failed_hook(&id, why).await,
            }
            host.inner().hooks.pending.remove(&id);
            host.touch();
        });
    }

    async fn end_after_failed_hook(&self, id: &ContainerId, why: String) {
        // One that ends by itself or is being stopped takes its hooks along: that is no failure.
        if !self.runs_on(id) {
            return;
        }
        warn!(%id, "{why}");
        self.write_hooks(id, &why);
        self.inner().hooks.failed.insert(id.clone(), why);
        self.kill_after_failed_hook(id).await;
    }

    /// Ends a container in which a hook failed, if it still runs.
    pub(super) async fn kill_after_failed_hook(&self, id: &ContainerId) {
        if !self.inner().hooks.failed.contains_key(id) || !self.runs_on(id) {
            return;
        }
        if let Err(error) = self.hands.runtime.stop(id, "SIGKILL", Duration::ZERO).await {
            warn!(%id, %error, "cannot end the container whose hook failed");
        }
    }

    /// Runs the hooks before the end of a container, for at most `limit`. Whatever becomes of them,
    /// the container is stopped then.
    pub(super) async fn run_pre_stop(&self, id: &ContainerId, limit: Duration) {
        if !self.runs_on(id) {
            return;
        }
        let record = self.hands.runtime.containers().remove(id);
        let hooks = record.map(|record| record.container.pre_stop.clone()).unwrap_or_default();
        match timeout(limit, self.run_hooks(id, &hooks, "pre_stop")).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => warn!(%id, "{why}"),
            Err(_) => warn!(%id, "pre_stop has not ended in the time the container has to stop"),
        }
    }

    /// Forgets a container's hooks.
    pub(super) fn forget_hooks(&self, id: &ContainerId) {
        let mut inner = self.inner();
        inner.hooks.pending.remove(id);
        inner.hooks.failed.remove(id);
        drop(inner);
        remove_quietly(&self.hooks_file(id));
    }

    fn hooks_file(&self, id: &ContainerId) -> PathBuf {
        self.instance.run.join("hooks").join(id.as_str())
    }

    /// One that cannot be written costs a new daemon its knowledge of the hooks, nothing else.
    fn write_hooks(&self, id: &ContainerId, failed: &str) {
        let path = self.hooks_file(id);
        let directory = self.instance.run.join("hooks");
        let new = path.with_extension("new");
        let written = std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&new, failed))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = written {
            warn!(%id, %error, "cannot keep where the hooks are");
        }
    }

    /// Whether a container runs and has not been asked to end.
    fn runs_on(&self, id: &ContainerId) -> bool {
        let record = self.hands.runtime.containers().remove(id);
        record.is_some_and(|record| {
            matches!(record.phase, ContainerPhase::Running { stopping: false, .. })
        })
    }

    async fn run_hooks(&self, id: &ContainerId, hooks: &[Hook], what: &str) -> Result<(), String> {
        for hook in hooks {
            let done = self.run_inside(id, request(hook)).await;
            done.map_err(|why| {
                format!("{what} {:?} failed: {}", hook.command.join(" "), why.trim())
            })?;
        }
        Ok(())
    }
}

fn request(hook: &Hook) -> ExecRequest {
    let variable = |(name, value): (&String, &Option<String>)| {
        // One without a value is the container's own.
        value.as_ref().map(|value| format!("{name}={value}"))
    };
    ExecRequest {
        args: hook.command.clone(),
        env: hook.environment.iter().filter_map(variable).collect(),
        cwd: hook.working_dir.clone(),
        user: hook.user.clone(),
        privileged: hook.privileged,
        ..ExecRequest::default()
    }
}
