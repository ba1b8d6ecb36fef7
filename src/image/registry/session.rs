//! Requests to one repository of one registry.

use std::io;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::auth::{self, Challenge};
use super::http::{Answer, Asked, Client, Received, Sent};
use super::memory;
use super::settings::{Host, Registries, Timeouts, Watcher};
use super::signature::{self, Signed};
use super::trouble::{Tried, Trouble};
use super::url::{Scheme, Url};
use crate::image::document::{Index, Manifest, digest_of, media};
use crate::image::error::ImageError;
use crate::image::limits::DOCUMENT;
use crate::model::Digest;

/// What the threads of one transfer share.
pub(super) struct Place<'a> {
    pub(super) registries: &'a Registries,
    /// The registry's name, as in references.
    pub(super) registry: String,
    /// The host that is asked.
    pub(super) host: Host,
    /// The path of the repository.
    pub(super) repository: String,
    /// `pull` or `pull,push`.
    pub(super) actions: &'static str,
    /// Other repositories of the registry, from which layers may be taken over.
    pub(super) sources: Vec<String>,
    /// Who is told of it, and may end it.
    pub(super) watcher: &'a dyn Watcher,
}

/// One thread's connection to a repository.
pub(super) struct Session<'a> {
    place: &'a Place<'a>,
    client: Client<'a>,
}

/// A manifest or index as a registry gave it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Every registry says this, and no web server.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// How many statements about an image are read.
const MOST_STATEMENTS: usize = 50;
/// How large one may be, in bytes.
const LARGEST_STATEMENT: u64 = 1 << 20;
/// How much of a refusal is read, in bytes.
const LONGEST_REFUSAL: u64 = 64 << 10;
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

#[derive(Default, Deserialize)]
#[serde(default)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OneError {
    code: String,
    message: String,
}

impl<'a> Session<'a> {
    pub(super) fn open(place: &'a Place<'a>) -> Result<Self, ImageError> {
        let client = Client::new(place.registries, place.watcher);
        let client = client.map_err(|error| place.failed("reach", error))?;
        Ok(Self { place, client })
    }

    /// How long to wait for what.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.place.registries.timeouts
    }

    /// Whether the registry lets us in.
    pub(super) fn enter(&self) -> Tried<()> {
        let url = self.place.url("/v2/");
        let answer = self.send(&url, Asked::default())?;
        self.ok(answer, "log in to", "the registry").map(drop)
    }

    /// The digest that a tag has now, if the registry tells it without the manifest.
    pub(super) fn manifest_digest(&self, tag: &str) -> Tried<Option<Digest>> {
        let asked = Asked { method: Method::HEAD, headers: vec![accept()], ..Asked::default() };
        let answer = self.send(&self.manifest_url(tag), asked)?;
        let digest = answer.header(DIGEST).and_then(|text| text.parse().ok());
        Ok(digest.filter(|_| answer.status.is_success()))
    }

    /// A manifest or index by tag or digest, checked.
    pub(super) fn manifest(&self, tag: &str) -> Tried<Fetched> {
        let asked = Asked { headers: vec![accept()], ..Asked::default() };
        let answer = self.ok(self.send(&self.manifest_url(tag), asked)?, "find", tag)?;
        self.fetched(answer, tag)
    }

    fn fetched(&self, answer: Answer<'_>, tag: &str) -> Tried<Fetched> {
        let media_type = answer.header(CONTENT_TYPE).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes =
            answer.bytes(DOCUMENT).map_err(|error| self.broken("read the manifest of", error))?;
        let digest = digest_of(&bytes);
        if let Ok(wanted) = tag.parse::<Digest>() {
            crate::image::staging::check(&format!("manifest {tag}"), &digest, &wanted)?;
        }
        Ok(Fetched { bytes, digest, media_type })
    }

    /// A small blob, checked.
    pub(super) fn small_blob(&self, digest: &Digest) -> Tried<Vec<u8>> {
        let answer = self.send(&self.url(&format!("blobs/{digest}")), Asked::default())?;
        let answer = self.ok(answer, "get", digest.as_str())?;
        let bytes = answer.bytes(DOCUMENT).map_err(|error| self.broken("get a part of", error))?;
        let found = digest_of(&bytes);
        if found != *digest {
            // Some cache on the way; the next answer may be right.
            let (what, wanted) = (format!("blob {digest}"), digest.clone());
            return Err(Trouble::passing(ImageError::WrongDigest { what, found, wanted }));
        }
        Ok(bytes)
    }

    /// A blob from `offset` on. Says whether it really begins there: a registry may ignore the offset.
    pub(super) fn blob(&self, digest: &Digest, offset: u64) -> Tried<(Received<'_>, bool)> {
        let mut asked = Asked::default();
        if offset > 0 {
            asked.headers.push((RANGE, format!("bytes={offset}-")));
        }
        let answer = self.send(&self.url(&format!("blobs/{digest}")), asked)?;
        let answer = self.ok(answer, "get", digest.as_str())?;
        let partial = answer.status == StatusCode::PARTIAL_CONTENT;
        let begins = format!("bytes {offset}-");
        let range = answer.header(hyper::header::CONTENT_RANGE);
        if partial && range.is_some_and(|range| !range.starts_with(&begins)) {
            return Err(Trouble::passing(
                self.place.failed("get a part of", "it sends another part"),
            ));
        }
        Ok((answer.body, partial || offset == 0))
    }

    /// The statements that are made of a manifest in its repository, signed by whomever: those under
    /// the tag where cosign puts them, then those that refer to it.
    pub(super) fn signatures(&self, digest: &Digest) -> Tried<Vec<Signed>> {
        let mut found = Vec::new();
        if let Some(beside) = self.manifest_if_there(&format!("sha256-{}.sig", digest.hex()))? {
            self.statements(&beside, &mut found)?;
        }
        for entry in self.referrers(digest)?.manifests.iter().take(MOST_STATEMENTS) {
            if let Some(beside) = self.manifest_if_there(&entry.digest)? {
                self.statements(&beside, &mut found)?;
            }
        }
        Ok(found)
    }

    /// What refers to a manifest. Registries that do not keep such lists have them under a tag.
    /// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>
    fn referrers(&self, digest: &Digest) -> Tried<Index> {
        let answer = self.send(&self.url(&format!("referrers/{digest}")), Asked::default())?;
        if answer.status.is_success() {
            let bytes = answer.bytes(DOCUMENT).map_err(|error| self.broken("read", error))?;
            // A registry that knows nothing of it may show a page instead.
            return Ok(serde_json::from_slice(&bytes).unwrap_or_default());
        }
        drop(answer.bytes(LONGEST_REFUSAL));
        let list = self.manifest_if_there(&format!("sha256-{}", digest.hex()))?;
        Ok(list.and_then(|list| serde_json::from_slice(&list.bytes).ok()).unwrap_or_default())
    }

    /// The statements of one manifest: its layers.
    fn statements(&self, beside: &Fetched, found: &mut Vec<Signed>) -> Tried<()> {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&beside.bytes) else { return Ok(()) };
        for layer in manifest.layers.iter().take(MOST_STATEMENTS) {
            let (Ok(digest), true) = (layer.digest(), layer.size <= LARGEST_STATEMENT) else {
                continue;
            };
            if layer.media_type.starts_with(signature::BUNDLE) {
                found.extend(Signed::bundle(&self.small_blob(&digest)?));
            } else if let Some(signature) = layer.annotations.get(signature::SIGNATURE)
                && layer.media_type == signature::SIMPLE
            {
                found.extend(Signed::simple(self.small_blob(&digest)?, signature));
            }
        }
        Ok(())
    }

    fn manifest_if_there(&self, tag: &str) -> Tried<Option<Fetched>> {
        let asked = Asked { headers: vec![accept()], ..Asked::default() };
        let answer = self.send(&self.manifest_url(tag), asked)?;
        if answer.status == StatusCode::NOT_FOUND {
            drop(answer.bytes(LONGEST_REFUSAL));
            return Ok(None);
        }
        self.fetched(self.ok(answer, "find", tag)?, tag).map(Some)
    }

    /// Whether the repository has a blob.
    pub(super) fn has_blob(&self, digest: &Digest) -> Tried<bool> {
        let asked = Asked { method: Method::HEAD, ..Asked::default() };
        let answer = self.send(&self.url(&format!("blobs/{digest}")), asked)?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(false),
            _ => self.ok(answer, "ask for", digest.as_str()).map(|_| true),
        }
    }

    /// Begins an upload, or takes the blob over from another repository of the registry. `None` if
    /// that was done.
    pub(super) fn begin_upload(&self, digest: &Digest, from: Option<&str>) -> Tried<Option<Url>> {
        let mut url = self.url("blobs/uploads/");
        if let Some(from) = from {
            url = url.with_query("mount", digest.as_str()).with_query("from", from);
        }
        let asked = Asked { method: Method::POST, ..Asked::default() };
        let answer = self.ok(self.send(&url, asked)?, "begin to send", digest.as_str())?;
        if answer.status == StatusCode::CREATED {
            return Ok(None);
        }
        let location = answer.header(LOCATION).and_then(|location| answer.url.join(location));
        let nowhere = || Trouble::Final(self.place.failed("send to", "it does not say where"));
        location.ok_or_else(nowhere).map(Some)
    }

    /// Sends a blob.
    pub(super) fn upload(
        &self,
        to: Url,
        digest: &Digest,
        body: Sent<'_>,
        report: &dyn Fn(u64),
    ) -> Tried<()> {
        let asked = Asked {
            method: Method::PUT,
            headers: vec![(CONTENT_TYPE, "application/octet-stream".to_owned())],
            body,
            report: Some(report),
        };
        let answer = self.send(&to.with_query("digest", digest.as_str()), asked)?;
        self.ok(answer, "send", digest.as_str()).map(drop)
    }

    /// Sends a manifest, under a tag or its digest.
    pub(super) fn put_manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) -> Tried<()> {
        let asked = Asked {
            method: Method::PUT,
            headers: vec![(CONTENT_TYPE, media_type.to_owned())],
            body: Sent::Bytes(bytes),
            report: None,
        };
        self.ok(self.send(&self.manifest_url(tag), asked)?, "send", tag).map(drop)
    }

    fn manifest_url(&self, tag: &str) -> Url {
        self.url(&format!("manifests/{tag}"))
    }

    fn url(&self, path: &str) -> Url {
        self.place.url(&format!("/v2/{}/{path}", self.place.repository))
    }

    /// Sends a request as whoever we are. Asked for it, shows that, once.
    fn send(&self, url: &Url, asked: Asked<'_>) -> Tried<Answer<'_>> {
        let place = self.place;
        let memory = &place.registries.memory;
        let who = place.registries.logins.get(&place.host.account);
        let scope = place.scope();
        let question = memory::Asked::new(&place.host.name, &scope, who);
        let known = memory.shown(&question).and_then(|shown| auth::header(&shown, who));
        let again = asked.again();
        let answer = self.send_first(url, asked, known.as_ref())?;
        let url = answer.asked.clone();
        if answer.status != StatusCode::UNAUTHORIZED || url.host != place.host.name {
            return Ok(answer);
        }
        memory.forget(&question);
        let challenge = answer.header(WWW_AUTHENTICATE).and_then(Challenge::parse);
        // To its end, so that the connection can be used again.
        drop(answer.bytes(LONGEST_REFUSAL));
        let Some(challenge) = challenge else { return Err(place.unauthorized()) };
        let host = &place.host.account;
        let shown = auth::answer(&self.client, place.registries, host, &scope, &challenge, who)?;
        let Some(shown) = shown else { return Err(place.unauthorized()) };
        let header = auth::header(&shown, who);
        memory.keep(question.clone(), shown);
        let Some(asked) = again else {
            return Err(Trouble::passing(place.failed("send to", "the login ran out")));
        };
        let answer = self.send_as(&url, asked, header.as_ref()).map_err(|e| self.reach(e))?;
        match answer.status {
            StatusCode::UNAUTHORIZED => {
                memory.forget(&question);
                Err(place.unauthorized())
            }
            _ => Ok(answer),
        }
    }

    /// Sends a request, with and without encryption where both may be, until it is known which of
    /// them the host speaks.
    fn send_first(&self, url: &Url, asked: Asked<'_>, shown: Option<&String>) -> Tried<Answer<'_>> {
        let Place { registries, host, .. } = self.place;
        let again = asked.again();
        let first = self.send_as(url, asked, shown);
        let known = registries.memory.scheme(&host.name).is_some();
        let other = registries.schemes(host).iter().find(|scheme| **scheme != url.scheme);
        if url.host == host.name
            && let (Some(other), Some(again)) = (other, again)
            && !known
            && may_speak_otherwise(&first, url.scheme)
        {
            let other = Url { scheme: *other, ..url.clone() };
            match self.send_as(&other, again, shown) {
                Ok(answer) if !is_plain_refusal(&answer) => {
                    registries.memory.speaks(&host.name, other.scheme);
                    return Ok(answer);
                }
                // It does speak TLS, and that is what is wrong.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(self.reach(error));
                }
                _ => {}
            }
        } else if first.is_ok() && url.host == host.name {
            registries.memory.speaks(&host.name, url.scheme);
        } else if first.is_err() {
            registries.memory.forget_scheme(&host.name);
        }
        first.map_err(|error| self.reach(error))
    }

    fn send_as(
        &self,
        url: &Url,
        mut asked: Asked<'_>,
        shown: Option<&String>,
    ) -> io::Result<Answer<'_>> {
        // An upload may be sent to another host, which has its own ways.
        if url.host == self.place.host.name {
            asked.headers.extend(shown.map(|shown| (AUTHORIZATION, shown.clone())));
        }
        self.client.send(url, asked)
    }

    fn reach(&self, error: io::Error) -> Trouble {
        self.broken("reach", error)
    }

    /// The answer, if it says yes.
    fn ok<'b>(&self, answer: Answer<'b>, verb: &str, what: &str) -> Tried<Answer<'b>> {
        let status = answer.status;
        if status.is_success() {
            return Ok(answer);
        }
        let wait = answer.header(RETRY_AFTER).and_then(retry_after);
        let said = answer.bytes(LONGEST_REFUSAL).unwrap_or_default();
        let said: Errors = serde_json::from_slice(&said).unwrap_or_default();
        let said = said.errors.into_iter().next().unwrap_or_default();
        let Place { registry, repository, .. } = self.place;
        let doing = format!("{verb} {what} of {registry}/{repository}");
        let error = |hint: &str| {
            let text =
                [said.message.as_str(), said.code.as_str()].into_iter().find(|t| !t.is_empty());
            let text = text.map(|text| format!(": {text}")).unwrap_or_default();
            let reason = format!("the registry answers {status}{text}{hint}");
            ImageError::Registry { doing: doing.clone(), reason }
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => self.place.unauthorized(),
            StatusCode::FORBIDDEN => Trouble::Final(error("; this login may not do that")),
            StatusCode::NOT_FOUND => Trouble::Final(error("; check the name and the tag")),
            StatusCode::TOO_MANY_REQUESTS => {
                let error = error("; log in, or wait until its limit allows more");
                Trouble::Passing { error, wait }
            }
            StatusCode::REQUEST_TIMEOUT => Trouble::Passing { error: error(""), wait },
            status if status.is_server_error() => Trouble::Passing { error: error(""), wait },
            _ => Trouble::Final(error("")),
        })
    }

    fn broken(&self, doing: &str, error: io::Error) -> Trouble {
        let hopeless =
            matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidData);
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            if !reason.contains(&cause.to_string()) {
                reason = format!("{reason}: {cause}");
            }
            source = cause.source();
        }
        let away = matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotFound
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        );
        let error = self.place.failed(doing, reason);
        match (hopeless, away) {
            (true, _) => Trouble::Final(error),
            (_, true) => Trouble::Away(error),
            _ => Trouble::passing(error),
        }
    }
}

impl Place<'_> {
    /// A path of the host.
    fn url(&self, path: &str) -> Url {
        let schemes = self.registries.schemes(&self.host);
        let known = self.registries.memory.scheme(&self.host.name);
        let scheme = known.filter(|known| schemes.contains(known)).unwrap_or(schemes[0]);
        Url::new(scheme, &self.host.name, path)
    }

    /// What a token must allow, with blanks between.
    fn scope(&self) -> String {
        if self.repository.is_empty() {
            return String::new();
        }
        let own = format!("repository:{}:{}", self.repository, self.actions);
        let others = self.sources.iter().map(|source| format!("repository:{source}:pull"));
        [own].into_iter().chain(others).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn failed(&self, doing: &str, reason: impl ToString) -> ImageError {
        let at = match self.registry == self.host.name {
            true => String::new(),
            false => format!(" at {}", self.host.name),
        };
        let doing = match self.repository.as_str() {
            "" => format!("{doing} registry {}{at}", self.registry),
            repository => format!("{doing} {}/{repository}{at}", self.registry),
        };
        ImageError::Registry { doing, reason: reason.to_string() }
    }

    fn unauthorized(&self) -> Trouble {
        let registry = &self.host.account;
        let known = self.registries.logins.get(registry).is_some();
        let reason = match self.registries.logins.helper(registry) {
            _ if known => "the registry does not accept the login; log in again with ".to_owned(),
            Some(helper) => format!(
                "the registry asks for a login; docker's configuration leaves it to the program \
                 `docker-credential-{helper}`, which orca does not run; log in with "
            ),
            None => "the registry asks for a login, or has no such image; log in with ".to_owned(),
        };
        Trouble::Final(self.failed("use", format!("{reason}`orca login {registry}`")))
    }
}

/// Whether a host that was asked without encryption says that it wants some.
fn is_plain_refusal(answer: &Answer<'_>) -> bool {
    answer.url.scheme == Scheme::Http
        && answer.status == StatusCode::BAD_REQUEST
        && !answer.headers.contains_key(API_VERSION)
}

/// Whether the host may be one that speaks the other way, with or without encryption.
fn may_speak_otherwise(first: &io::Result<Answer<'_>>, scheme: Scheme) -> bool {
    match first {
        Ok(answer) => is_plain_refusal(answer),
        Err(error) => match error.kind() {
            io::ErrorKind::Interrupted => false,
            // Who wants encryption says so, or hangs up.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut => scheme == Scheme::Https,
            _ => true,
        },
    }
}

/// When to come back: in seconds, or as a time.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Duration::try_from(time.timestamp().duration_since(jiff::Timestamp::now())).ok()
}

fn accept() -> (HeaderName, String) {
    let all = [media::MANIFEST, media::INDEX, DOCKER_MANIFEST, media::DOCKER_INDEX];
    (ACCEPT, all.join(", "))
}
