//! Transfers from and to registries.

use std::time::Duration;

use super::{BadMessage, all, each, nanos, parse};
use crate::api::control::{
    CheckLogin, ControlError, Pull, PullImage, Push, Resolve, Transfer, TransferEvent, Transferred,
};
use crate::api::proto;
use crate::api::proto::transfer_reply::Event;
use crate::model::{Credentials, Digest, Logins, Progress, PullPolicy};

impl From<Logins> for proto::Logins {
    fn from(logins: Logins) -> Self {
        let known = logins.known().iter();
        let helpers = logins.helpers().clone().into_iter().collect();
        Self { known: known.map(|(registry, who)| login(registry, who)).collect(), helpers }
    }
}

fn login(registry: &str, credentials: &Credentials) -> proto::Login {
    let login = proto::Login { registry: registry.to_owned(), ..proto::Login::default() };
    match credentials.clone() {
        Credentials::Password { user, password } => proto::Login { user, password, ..login },
        Credentials::Identity(identity_token) => proto::Login { identity_token, ..login },
    }
}

impl From<proto::Logins> for Logins {
    fn from(message: proto::Logins) -> Self {
        let mut logins = Self::default();
        for login in message.known {
            let registry = login.registry.clone();
            logins.add(&registry, credentials(login));
        }
        for (registry, program) in &message.helpers {
            logins.add_helper(registry, program);
        }
        logins
    }
}

fn credentials(login: proto::Login) -> Credentials {
    let proto::Login { user, password, identity_token, .. } = login;
    match identity_token.as_str() {
        "" => Credentials::Password { user, password },
        _ => Credentials::Identity(identity_token),
    }
}

impl From<CheckLogin> for proto::CheckLoginRequest {
    fn from(CheckLogin { registry, credentials }: CheckLogin) -> Self {
        Self { login: Some(login(&registry, &credentials)) }
    }
}

impl TryFrom<proto::CheckLoginRequest> for CheckLogin {
    type Error = BadMessage;

    fn try_from(message: proto::CheckLoginRequest) -> Result<Self, BadMessage> {
        let login = message.login.ok_or_else(|| BadMessage::missing("login"))?;
        Ok(Self { registry: login.registry.clone(), credentials: credentials(login) })
    }
}

impl From<Pull> for proto::PullRequest {
    fn from(Pull { images, logins }: Pull) -> Self {
        Self { images: each(images), logins: Some(logins.into()) }
    }
}

impl TryFrom<proto::PullRequest> for Pull {
    type Error = BadMessage;

    fn try_from(message: proto::PullRequest) -> Result<Self, BadMessage> {
        let logins = message.logins.unwrap_or_default().into();
        Ok(Self { images: each(message.images), logins })
    }
}

impl From<PullImage> for proto::PullImage {
    fn from(PullImage { reference, policy, platform }: PullImage) -> Self {
        let (policy, every_nanos) = match policy {
            PullPolicy::Missing => (proto::PullPolicy::Missing, 0),
            PullPolicy::Always => (proto::PullPolicy::Always, 0),
            PullPolicy::Never => (proto::PullPolicy::Never, 0),
            PullPolicy::Build => (proto::PullPolicy::Build, 0),
            PullPolicy::Every(time) => (proto::PullPolicy::Every, nanos(time)),
        };
        Self { reference, policy: policy.into(), every_nanos, platform }
    }
}

impl From<proto::PullImage> for PullImage {
    fn from(message: proto::PullImage) -> Self {
        let policy = match message.policy() {
            proto::PullPolicy::Missing => PullPolicy::Missing,
            proto::PullPolicy::Always => PullPolicy::Always,
            proto::PullPolicy::Never => PullPolicy::Never,
            proto::PullPolicy::Build => PullPolicy::Build,
            proto::PullPolicy::Every => {
                PullPolicy::Every(Duration::from_nanos(message.every_nanos))
            }
        };
        Self { reference: message.reference, policy, platform: message.platform }
    }
}

impl From<Push> for proto::PushRequest {
    fn from(Push { references, logins }: Push) -> Self {
        Self { references, logins: Some(logins.into()) }
    }
}

impl TryFrom<proto::PushRequest> for Push {
    type Error = BadMessage;

    fn try_from(message: proto::PushRequest) -> Result<Self, BadMessage> {
        let logins = message.logins.unwrap_or_default().into();
        Ok(Self { references: message.references, logins })
    }
}

impl From<Resolve> for proto::ResolveRequest {
    fn from(Resolve { references, logins }: Resolve) -> Self {
        Self { references, logins: Some(logins.into()) }
    }
}

impl From<proto::ResolveRequest> for Resolve {
    fn from(message: proto::ResolveRequest) -> Self {
        let logins = message.logins.unwrap_or_default().into();
        Self { references: message.references, logins }
    }
}

impl From<Transfer> for proto::TransferReply {
    fn from(Transfer { image, event }: Transfer) -> Self {
        let event = match event {
            TransferEvent::Progress(Progress::Layers(layers)) => {
                let layers = layers.into_iter().map(|(layer, bytes)| moved(&layer, bytes));
                Event::Layers(proto::Layers { layers: layers.collect() })
            }
            TransferEvent::Progress(Progress::Exists(layer)) => Event::Exists(layer.to_string()),
            TransferEvent::Progress(Progress::Moved { layer, done }) => {
                Event::Moved(moved(&layer, done))
            }
            TransferEvent::Progress(Progress::Done(layer)) => Event::Done(layer.to_string()),
            TransferEvent::Progress(Progress::Retry { reason, wait }) => {
                Event::Retry(proto::Retry { reason, wait_nanos: nanos(wait) })
            }
            TransferEvent::Transferred(Transferred { digest, moved, warning }) => {
                Event::Transferred(proto::Transferred { digest, moved, warning })
            }
            TransferEvent::Failed(ControlError { message, hint, .. }) => {
                Event::Failed(proto::TransferFailed { message, hint })
            }
        };
        Self { image, event: Some(event) }
    }
}

fn moved(layer: &Digest, bytes: u64) -> proto::Moved {
    proto::Moved { layer: layer.to_string(), bytes }
}

impl TryFrom<proto::TransferReply> for Transfer {
    type Error = BadMessage;

    fn try_from(message: proto::TransferReply) -> Result<Self, BadMessage> {
        let layer = |text: &str| parse("transfer.layer", text);
        let event = message.event.ok_or_else(|| BadMessage::missing("transfer.event"))?;
        let event = match event {
            Event::Layers(layers) => TransferEvent::Progress(Progress::Layers(all(layers.layers)?)),
            Event::Exists(text) => TransferEvent::Progress(Progress::Exists(layer(&text)?)),
            Event::Moved(moved) => {
                let (layer, done) = moved.try_into()?;
                TransferEvent::Progress(Progress::Moved { layer, done })
            }
            Event::Done(text) => TransferEvent::Progress(Progress::Done(layer(&text)?)),
            Event::Retry(proto::Retry { reason, wait_nanos }) => {
                let wait = Duration::from_nanos(wait_nanos);
                TransferEvent::Progress(Progress::Retry { reason, wait })
            }
            Event::Transferred(proto::Transferred { digest, moved, warning }) => {
                TransferEvent::Transferred(Transferred { digest, moved, warning })
            }
            Event::Failed(proto::TransferFailed { message, hint }) => {
                let error = ControlError::failed_precondition(message);
                TransferEvent::Failed(ControlError { hint, ..error })
            }
        };
        Ok(Self { image: message.image, event })
    }
}

impl TryFrom<proto::Moved> for (Digest, u64) {
    type Error = BadMessage;

    fn try_from(proto::Moved { layer, bytes }: proto::Moved) -> Result<Self, BadMessage> {
        Ok((parse("transfer.layer", &layer)?, bytes))
    }
}
