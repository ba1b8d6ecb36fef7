//! What every command is given.

use super::args::ProjectArgs;
use super::error::Outcome;
use super::output::Output;
use super::{project, start};
use crate::api::{Client, ClientError, Target};
use crate::model::Instance;

/// What every command is given.
#[derive(Debug)]
pub(super) struct Context {
    /// Which orca.
    pub(super) instance: Instance,
    /// How to speak to the user.
    pub(super) output: Output,
    /// Which project.
    pub(super) project: ProjectArgs,
}

impl Context {
    /// The daemon. One that was killed is started again.
    ///
    /// # Errors
    /// If none runs.
    pub(super) async fn client(&self) -> Outcome<Client> {
        match Client::connect(&self.instance).await {
            Err(ClientError::NoDaemon { .. }) if self.was_killed() => self.client_or_start().await,
            other => Ok(other?),
        }
    }

    /// The daemon, if one runs or was killed: then it is started again, as what it looks after may well
    /// be there.
    pub(super) async fn client_unless_stopped(&self) -> Outcome<Option<Client>> {
        match self.client_if_running().await? {
            None if self.was_killed() => self.client_or_start().await.map(Some),
            other => Ok(other),
        }
    }

    /// Whether the last daemon did not end by itself, asked when none listens: it would have taken its
    /// socket along.
    fn was_killed(&self) -> bool {
        self.instance.socket().exists()
    }

    /// The daemon, if one runs.
    pub(super) async fn client_if_running(&self) -> Outcome<Option<Client>> {
        match Client::connect(&self.instance).await {
            Ok(client) => Ok(Some(client)),
            Err(ClientError::NoDaemon { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The daemon; one is started if none runs.
    pub(super) async fn client_or_start(&self) -> Outcome<Client> {
        start::client(&self.instance, self.output).await
    }

    /// The stack that is meant.
    pub(super) fn stack(&self) -> Outcome<String> {
        project::name(self)
    }

    /// Containers of the stack that is meant.
    pub(super) fn target(&self, names: Vec<String>, index: Option<u32>) -> Outcome<Target> {
        Ok(Target { stack: self.stack()?, names, index })
    }

    /// The same, without progress if `quiet`.
    pub(super) fn unless_quiet(&self, quiet: bool) -> Self {
        let output = if quiet { self.output.quiet() } else { self.output };
        Self { instance: self.instance.clone(), output, project: self.project.clone() }
    }

    /// The same with the options of a project that stood after the verb.
    pub(super) fn about(&self, after: ProjectArgs) -> Self {
        let project = self.project.clone().then(after);
        Self { instance: self.instance.clone(), output: self.output, project }
    }
}

/// What a user types as `name=number`.
pub(super) fn count_of(text: &str) -> Result<(String, u32), String> {
    let bad = || format!("`{text}` is not of the form SERVICE=NUMBER");
    let (service, count) = text.split_once('=').ok_or_else(bad)?;
    if service.is_empty() {
        return Err(bad());
    }
    Ok((service.to_owned(), count.parse().map_err(|_| bad())?))
}

/// The exit status of the program in a container as that of this one.
pub(super) fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}
