//! Showing a registry who we are: <https://distribution.github.io/distribution/spec/auth/token/>.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::http::{Asked, Client, Sent};
use super::memory::Shown;
use super::settings::{Registries, is_loopback};
use super::trouble::{Tried, Trouble};
use super::url::{Scheme, Url, encoded};
use crate::image::error::ImageError;
use crate::model::Credentials;

/// What a registry asks for when it does not know us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token of another server.
    Bearer {
        /// The server's address.
        realm: String,
        /// The registry's name there.
        service: String,
    },
}

impl Challenge {
    /// Reads the `WWW-Authenticate` header; the strongest of several.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let lower = header.to_ascii_lowercase();
        if let Some(at) = lower.find("bearer ") {
            let fields = fields(&header[at + "bearer ".len()..]);
            let realm = fields.get("realm")?.clone();
            let service = fields.get("service").cloned().unwrap_or_default();
            return Some(Self::Bearer { realm, service });
        }
        lower.starts_with("basic").then_some(Self::Basic)
    }
}

/// `a="b", c=d` as a map.
fn fields(mut text: &str) -> HashMap<String, String> {
    let mut fields = HashMap::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim().trim_start_matches(',').trim().to_ascii_lowercase();
        let (value, rest) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        fields.insert(key, value.trim().to_owned());
        text = rest;
    }
    fields
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    token: String,
    access_token: String,
    expires_in: Option<u64>,
}

/// The longest answer of a token server.
const TOKEN: u64 = 1 << 20;
/// How long a token lasts that does not say so itself.
const LASTS: u64 = 60;
/// How long one is used at most.
const LONGEST: u64 = 3600;

/// What to show to a host.
pub(super) fn header(shown: &Shown, who: Option<&Credentials>) -> Option<String> {
    match (shown, who) {
        (Shown::Token(header, _), _) => Some(header.clone()),
        (Shown::Password, Some(Credentials::Password { user, password })) => {
            Some(basic(user, password))
        }
        (Shown::Password, _) => None,
    }
}

/// What answers `challenge` of `host`, as `credentials` or as nobody.
pub(super) fn answer(
    client: &Client<'_>,
    registries: &Registries,
    host: &str,
    scope: &str,
    challenge: &Challenge,
    credentials: Option<&Credentials>,
) -> Tried<Option<Shown>> {
    match (challenge, credentials) {
        (Challenge::Basic, Some(Credentials::Password { .. })) => Ok(Some(Shown::Password)),
        (Challenge::Basic, _) => Ok(None),
        (Challenge::Bearer { realm, service }, _) => {
            let refuse = |reason: String| Trouble::Final(failed(host, reason));
            let url: Url =
                realm.parse().map_err(|()| refuse(format!("`{realm}` is no address")))?;
            // A registry must not make us tell a password to everybody on the way.
            let plain = url.scheme == Scheme::Http;
            if plain && !is_loopback(&url.host) && !registries.is_insecure(&url.host) {
                return Err(refuse(format!("{url} is not encrypted, and may not see a password")));
            }
            token(client, &url, host, service, scope, credentials).map(Some)
        }
    }
}

fn token(
    client: &Client<'_>,
    realm: &Url,
    host: &str,
    service: &str,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Tried<Shown> {
    let passing = |error: io::Error| Trouble::passing(failed(host, error));
    let form;
    let asked_url;
    let mut asked =
        Asked { headers: vec![(ACCEPT, "application/json".to_owned())], ..Asked::default() };
    if let Some(Credentials::Identity(token)) = credentials {
        form = format!(
            "grant_type=refresh_token&client_id=orca&service={}&scope={}&refresh_token={}",
            encoded(service),
            encoded(scope),
            encoded(token)
        );
        asked.method = Method::POST;
        asked.headers.push((CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned()));
        asked.body = Sent::Bytes(form.as_bytes());
        asked_url = realm.clone();
    } else {
        if let Some(Credentials::Password { user, password }) = credentials {
            asked.headers.push((AUTHORIZATION, basic(user, password)));
        }
        let with_service = realm.clone().with_query("service", service);
        // None only to find out whether the password is right.
        let scopes = scope.split(' ').filter(|one| !one.is_empty());
        asked_url = scopes.fold(with_service, |url, one| url.with_query("scope", one));
    }
    let answer = client.send(&asked_url, asked).map_err(passing)?;
    let status = answer.status;
    let bytes = answer.bytes(TOKEN).map_err(passing)?;
    if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
        return Err(Trouble::Final(failed(host, "it does not accept the name and password")));
    }
    if !status.is_success() {
        return Err(passing(io::Error::other(format!("{realm} answers {status}"))));
    }
    let read: TokenAnswer = serde_json::from_slice(&bytes).unwrap_or_default();
    let token = if read.token.is_empty() { read.access_token } else { read.token };
    if token.is_empty() {
        return Err(Trouble::Final(failed(host, format!("{realm} gives no token"))));
    }
    let lasts = Duration::from_secs(read.expires_in.unwrap_or(LASTS).clamp(LASTS, LONGEST));
    Ok(Shown::Token(format!("Bearer {token}"), Instant::now() + lasts))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn failed(host: &str, reason: impl ToString) -> ImageError {
    let doing = format!("log in to registry {host}");
    ImageError::Registry { doing, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: &str| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.to_owned() })
        };
        for (header, read) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                bearer("https://auth.docker.io/token", "registry.docker.io"),
            ),
            (r#"bearer service="a b, c", realm=http://x/"#, bearer("http://x/", "a b, c")),
            (r#"Basic realm="r", Bearer realm="http://t""#, bearer("http://t", "")),
            (r#"Basic realm="r""#, Some(Challenge::Basic)),
            ("Bearer service=x", None),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), read, "{header}");
        }
    }
}
