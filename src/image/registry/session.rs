//! Requests to one repository of one registry.

use std::io;
use std::time::Duration;

use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::auth::{self, Challenge, Shown};
use super::http::{Answer, Asked, Client, Received, Sent};
use super::settings::{Registries, Timeouts};
use super::trouble::{Tried, Trouble};
use super::url::Url;
use crate::image::document::{digest_of, media};
use crate::image::error::ImageError;
use crate::image::limits::DOCUMENT;
use crate::model::Digest;

/// What the threads of one transfer share.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) registries: &'a Registries,
    /// The registry's name, as in references: logins go by it.
    pub(super) registry: String,
    /// The host that is asked.
    pub(super) host: String,
    /// The path of the repository.
    pub(super) repository: String,
    /// `pull` or `pull,push`.
    pub(super) actions: &'static str,
    pub(super) shown: Shown,
}

/// One thread's connection to a repository.
pub(super) struct Session<'a> {
    place: &'a Place<'a>,
    client: Client,
}

/// A manifest or index as a registry gave it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
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
        let client = Client::new(place.registries.timeouts);
        let client = client.map_err(|error| place.failed("reach", error))?;
        Ok(Self { place, client })
    }

    /// How long to wait for what.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.place.registries.timeouts
    }

    /// Whether the registry lets us in.
    pub(super) fn enter(&self) -> Tried<()> {
        let Place { registries, host, .. } = self.place;
        let url = Url::new(registries.scheme(host), host, "/v2/");
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
        report: &dyn Fn(u64) -> bool,
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
        let Place { registries, host, repository, .. } = self.place;
        Url::new(registries.scheme(host), host, &format!("/v2/{repository}/{path}"))
    }

    /// Sends a request as whoever we are. Asked for it, shows that, once.
    fn send(&self, url: &Url, asked: Asked<'_>) -> Tried<Answer<'_>> {
        let Place { host, shown, .. } = self.place;
        let scope = self.place.scope();
        let Asked { method, headers, body, report } = asked;
        let known = shown.header(host, &scope);
        let again = match &body {
            Sent::Nothing => Some(Sent::Nothing),
            Sent::Bytes(bytes) => Some(Sent::Bytes(bytes)),
            Sent::Stream(..) => None,
        };
        let answer = self.send_as(url, (&method, &headers), body, report, known.as_ref())?;
        if answer.status != StatusCode::UNAUTHORIZED || url.host != *host {
            return Ok(answer);
        }
        shown.forget(host, &scope);
        let challenge = answer.header(WWW_AUTHENTICATE).and_then(Challenge::parse);
        drop(answer);
        let Some(challenge) = challenge else { return Err(self.place.unauthorized()) };
        let who = self.place.registries.logins.get(&self.place.registry);
        let header =
            auth::answer(&self.client, self.place.registries, host, &scope, &challenge, who)?;
        let Some(header) = header else { return Err(self.place.unauthorized()) };
        shown.keep(host, &scope, header.clone());
        let Some(body) = again else {
            let error = self.place.failed("send to", "the login ran out");
            return Err(Trouble::passing(error));
        };
        let answer = self.send_as(url, (&method, &headers), body, report, Some(&header))?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(self.place.unauthorized()),
            _ => Ok(answer),
        }
    }

    fn send_as(
        &self,
        url: &Url,
        (method, headers): (&Method, &[(HeaderName, String)]),
        body: Sent<'_>,
        report: Option<&dyn Fn(u64) -> bool>,
        shown: Option<&String>,
    ) -> Tried<Answer<'_>> {
        let mut headers = headers.to_vec();
        // An upload may be sent to another host, which has its own ways.
        if url.host == self.place.host {
            headers.extend(shown.map(|shown| (AUTHORIZATION, shown.clone())));
        }
        let asked = Asked { method: method.clone(), headers, body, report };
        self.client.send(url, asked).map_err(|error| self.broken("reach", error))
    }

    /// The answer, if it says yes.
    fn ok<'b>(&self, answer: Answer<'b>, verb: &str, what: &str) -> Tried<Answer<'b>> {
        let status = answer.status;
        if status.is_success() {
            return Ok(answer);
        }
        let wait =
            answer.header(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let said = answer.bytes(64 << 10).unwrap_or_default();
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
        let error = self.place.failed(doing, reason);
        if hopeless { Trouble::Final(error) } else { Trouble::passing(error) }
    }
}

impl Place<'_> {
    fn scope(&self) -> String {
        match self.repository.as_str() {
            "" => String::new(),
            repository => format!("repository:{repository}:{}", self.actions),
        }
    }

    pub(super) fn failed(&self, doing: &str, reason: impl ToString) -> ImageError {
        let doing = format!("{doing} {}/{} at {}", self.registry, self.repository, self.host);
        ImageError::Registry { doing, reason: reason.to_string() }
    }

    fn unauthorized(&self) -> Trouble {
        let Self { registry, .. } = self;
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

fn accept() -> (HeaderName, String) {
    let all = [media::MANIFEST, media::INDEX, DOCKER_MANIFEST, media::DOCKER_INDEX];
    (ACCEPT, all.join(", "))
}
