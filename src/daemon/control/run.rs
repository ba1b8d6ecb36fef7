//! Containers that run one program beside the services of a stack.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::{Daemon, containers};
use crate::api::control::{Answer, Apply, Attach, ControlError, Run, Session, SessionOutput};
use crate::engine::linux::{LinuxHost, Started};
use crate::engine::{Engine, View};
use crate::model::{Command, StackStatus};

impl Daemon {
    /// Agrees on a stack that has one more container, and waits until that runs.
    pub(super) async fn run_one_off(&self, apply: Apply, request: Run) -> Answer<Session> {
        let project = &apply.project;
        let service = project.services.get(&request.service);
        let name = service.filter(|s| s.one_off.is_some()).and_then(|s| s.container_name.clone());
        let name = name.ok_or_else(|| ControlError::invalid_input("there is nothing to run"))?;
        let (host, engine) = (Arc::clone(&self.host), self.engine.clone());
        let mut starting = Starting {
            stack: project.name.clone(),
            service: request.service.clone(),
            started: host.expect_start(&name),
            name,
            host,
            engine,
            is_agreed: false,
        };
        self.apply_stack(apply).await?;
        starting.is_agreed = true;
        match starting.wait().await? {
            Ok((id, attached)) => {
                if request.detach {
                    return Ok(over(vec![SessionOutput::Exited(0)]).await);
                }
                let Run { stdin, size, .. } = request;
                let runtime = self.hands().runtime.clone();
                Ok(containers::talk(runtime, id, attached, Attach { stdin, size }))
            }
            // As in a shell: a line on standard error, and a status that says so.
            Err(error) => {
                let message = format!("{}\n", error.message).into_bytes();
                let said = vec![SessionOutput::Stderr(message), SessionOutput::Exited(error.code)];
                Ok(over(said).await)
            }
        }
    }
}

/// A session in which everything has been said.
async fn over(said: Vec<SessionOutput>) -> Session {
    let (input, _) = mpsc::channel(1);
    let (sender, output) = mpsc::channel(said.len().max(1));
    for message in said {
        // There is room for all of them.
        drop(sender.send(message).await);
    }
    Session { tty: false, input, output }
}

/// A container on its way. When the caller goes away meanwhile, it is not made.
struct Starting {
    stack: String,
    service: String,
    name: String,
    started: oneshot::Receiver<Started>,
    host: Arc<LinuxHost>,
    engine: Engine,
    /// Whether there is something to take back.
    is_agreed: bool,
}

impl Starting {
    async fn wait(mut self) -> Answer<Started> {
        let mut views = self.engine.view();
        loop {
            tokio::select! {
                biased;
                started = &mut self.started => {
                    self.is_agreed = false;
                    return started.map_err(|_| self.is_gone());
                }
                changed = views.changed() => if changed.is_err() {
                    return Err(ControlError::unavailable("the daemon is stopping"));
                },
            }
            let view = Arc::clone(&views.borrow_and_update());
            match self.hopeless(&view) {
                Some(why) => {
                    let message = format!("cannot run {}: {why}", self.service);
                    return Err(ControlError::failed_precondition(message)
                        .with_hint("`orca ps -a` and `orca logs` show more"));
                }
                None if !view.stacks.contains_key(&self.stack) => return Err(self.is_gone()),
                None => {}
            }
        }
    }

    fn is_gone(&self) -> ControlError {
        ControlError::conflict(format!("{} was taken down before it ran", self.name))
    }

    /// Why it will not start without help: something is wrong with it, or with what it needs.
    fn hopeless(&self, view: &View) -> Option<String> {
        let status = view.stacks.get(&self.stack)?;
        let project = &view.agreed.stacks.get(&self.stack)?.project;
        let (mut seen, mut next) = (BTreeSet::new(), vec![self.service.as_str()]);
        while let Some(name) = next.pop() {
            if !seen.insert(name) {
                continue;
            }
            if let Some(why) = failure(status, name) {
                let own = name == self.service;
                return Some(if own { why } else { format!("{name} {why}") });
            }
            let needs = project.services.get(name).map(|service| &service.depends_on);
            let required = needs.into_iter().flatten().filter(|(_, needed)| needed.required);
            next.extend(required.map(|(name, _)| name.as_str()));
        }
        None
    }
}

fn failure(status: &StackStatus, service: &str) -> Option<String> {
    status.services.get(service)?.failed.clone()
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.host.forget_start(&self.name);
        if !self.is_agreed {
            return;
        }
        let (stack, services) = (self.stack.clone(), vec![self.service.clone()]);
        let engine = self.engine.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.commit(Command::DropOneOffs { stack, services }).await {
                debug!(%error, "what was to run is gone already");
            }
        });
    }
}
