//! What was learnt of registries, so that the next transfer need not ask again.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::url::Scheme;
use crate::image::disk::locked;
use crate::image::document::digest_of;
use crate::model::{Credentials, Digest};

/// What was learnt of registries. It holds tokens, which run out within minutes, and no passwords.
#[derive(Default)]
pub struct Memory {
    schemes: Mutex<HashMap<String, Scheme>>,
    shown: Mutex<HashMap<Asked, Shown>>,
}

impl std::fmt::Debug for Memory {
    /// Says nothing that is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

/// Who asked which host for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    host: String,
    scope: String,
    /// Of the name and the password, so that nobody uses the token of another.
    who: Option<Digest>,
}

/// What a host wants to see.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Name and password.
    Password,
    /// This header.
    Token(String, Instant),
}

/// How many of these are kept.
const MOST: usize = 1000;
/// How much earlier than it says a token counts as run out.
const MARGIN: Duration = Duration::from_secs(5);

impl Asked {
    pub(super) fn new(host: &str, scope: &str, who: Option<&Credentials>) -> Self {
        let secret = |who: &Credentials| match who {
            Credentials::Password { user, password } => format!("{user}:{password}"),
            Credentials::Identity(token) => format!(":{token}"),
        };
        let who = who.map(|who| digest_of(secret(who).as_bytes()));
        Self { host: host.to_owned(), scope: scope.to_owned(), who }
    }
}

impl Memory {
    /// How a host is spoken to, once it has answered.
    pub(super) fn scheme(&self, host: &str) -> Option<Scheme> {
        locked(&self.schemes).get(host).copied()
    }

    pub(super) fn speaks(&self, host: &str, scheme: Scheme) {
        let mut schemes = locked(&self.schemes);
        if schemes.len() >= MOST {
            schemes.clear();
        }
        schemes.insert(host.to_owned(), scheme);
    }

    /// A host does not answer as it did: it may have been changed.
    pub(super) fn forget_scheme(&self, host: &str) {
        locked(&self.schemes).remove(host);
    }

    /// What was shown with success, and has not run out.
    pub(super) fn shown(&self, asked: &Asked) -> Option<Shown> {
        let shown = locked(&self.shown).get(asked).cloned();
        shown.filter(|shown| match shown {
            Shown::Password => true,
            Shown::Token(_, until) => Instant::now() + MARGIN < *until,
        })
    }

    pub(super) fn keep(&self, asked: Asked, shown: Shown) {
        let mut known = locked(&self.shown);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(asked, shown);
    }

    /// It was not accepted any more.
    pub(super) fn forget(&self, asked: &Asked) {
        locked(&self.shown).remove(asked);
    }
}
