//! What the administrator says of registries: files that are read again for each transfer, so that a
//! change holds at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::memory::Memory;
use super::policy::Policy;
use super::proxy::{Proxies, list};
use super::settings::Registries;
use crate::image::error::{Doing as _, Result, bad};
use crate::model::{DEFAULT_REGISTRY, Logins};

/// Where the administrator's files are.
#[derive(Debug, Clone)]
pub struct Configuration {
    directory: PathBuf,
}

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;
/// Docker's directories of certificates, which hosts often have already.
const DOCKERS: &str = "/etc/docker/certs.d";

/// `registries.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    insecure_registries: BTreeSet<String>,
    registry_mirrors: Mirrors,
    proxies: ProxyFile,
}

/// As docker writes them, for its own registry; or for each registry.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "registry-mirrors must be a list of mirrors of docker.io, or an object with a list of \
                 mirrors for each registry"
)]
enum Mirrors {
    Dockers(Vec<String>),
    Each(BTreeMap<String, Vec<String>>),
}

impl Default for Mirrors {
    fn default() -> Self {
        Self::Each(BTreeMap::new())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct ProxyFile {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl Configuration {
    /// The files of this directory, of which none has to be there: `registries.json`, `policy.json`
    /// and `certs.d`.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// How registries are reached by someone with these logins.
    ///
    /// # Errors
    /// If a file cannot be read or says something that makes no sense.
    pub fn registries(&self, logins: Logins, memory: Arc<Memory>) -> Result<Registries> {
        let path = self.directory.join("registries.json");
        let file: File = read(&path)?.unwrap_or_default();
        let mirrors = match file.registry_mirrors {
            Mirrors::Dockers(hosts) => BTreeMap::from([(DEFAULT_REGISTRY.to_owned(), hosts)]),
            Mirrors::Each(each) => each,
        };
        let hosts = mirrors.values().flatten().chain(&file.insecure_registries);
        if let Some(wrong) = hosts.into_iter().find(|host| !is_host(host)) {
            let reason = format!("`{wrong}` is no host; one is written like registry.lan:5000");
            return Err(bad(path.display(), reason));
        }
        let insecure = file.insecure_registries.iter().map(|host| {
            host.trim_start_matches("http://").trim_start_matches("https://").to_owned()
        });
        let registries = Registries {
            insecure: insecure.collect(),
            mirrors,
            proxies: proxies(file.proxies),
            logins,
            policy: self.policy()?,
            memory,
            ..Registries::default()
        };
        let certificates = vec![self.directory.join("certs.d"), PathBuf::from(DOCKERS)];
        Ok(registries.with_certificates(certificates))
    }

    /// Which images are accepted.
    ///
    /// # Errors
    /// If the file cannot be read or says something that makes no sense: then nothing is accepted.
    pub fn policy(&self) -> Result<Policy> {
        Policy::read(&self.directory.join("policy.json"))
    }
}

/// What the file says of proxies, else the environment.
fn proxies(file: ProxyFile) -> Proxies {
    let from = Proxies::from_environment(|name| std::env::var(name).ok());
    Proxies {
        http: file.http_proxy.or(from.http),
        https: file.https_proxy.or(from.https),
        none: file.no_proxy.map_or(from.none, |text| list(&text)),
    }
}

/// Whether `text` is a host, perhaps with a port, perhaps as an address; or a subnet.
fn is_host(text: &str) -> bool {
    if text.parse::<ipnet::IpNet>().is_ok() {
        return true;
    }
    let host = text.trim_start_matches("http://").trim_start_matches("https://");
    let host = host.strip_suffix('/').unwrap_or(host);
    let good = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    !host.is_empty() && host.chars().all(good)
}

/// Reads a file of JSON; `None` if there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = content(path)? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| bad(path.display(), error))
}

/// The bytes of a file; `None` if there is none.
pub(super) fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        done => done.doing("open", path)?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).doing("read", path)?;
    if bytes.len() as u64 > LARGEST {
        return Err(bad(path.display(), format!("it is larger than {LARGEST} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Configuration;
    use crate::model::Logins;

    #[test]
    fn the_file_is_read_and_mistakes_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let configuration = Configuration::new(dir.path());
        let read = || configuration.registries(Logins::default(), std::sync::Arc::default());
        assert!(read().unwrap().insecure.is_empty());
        let path = dir.path().join("registries.json");
        let text = r#"{"insecure-registries": ["http://r.lan:5000", "10.0.0.0/8"],
            "registry-mirrors": ["https://m.lan/"], "proxies": {"http-proxy": "p:1", "no-proxy": "a,b"}}"#;
        fs::write(&path, text).unwrap();
        let registries = read().unwrap();
        assert!(registries.is_insecure("r.lan:5000") && registries.is_insecure("10.1.1.1"));
        assert_eq!(registries.mirrors["docker.io"], ["https://m.lan/"]);
        assert_eq!(registries.proxies.http.as_deref(), Some("p:1"));
        assert_eq!(registries.proxies.none, ["a", "b"]);
        fs::write(&path, r#"{"registry-mirrors": {"x.io": ["m.lan:1"]}}"#).unwrap();
        assert_eq!(read().unwrap().mirrors["x.io"], ["m.lan:1"]);
        for (text, said) in [
            (r#"{"insecure-registry": []}"#, "unknown field `insecure-registry`"),
            (r#"{"registry-mirrors": ["https://m.lan/path"]}"#, "`https://m.lan/path` is no host"),
            (r#"{"registry-mirrors": "m.lan"}"#, "must be a list of mirrors"),
            ("{\n  \"proxies\": 7\n}", "at line 2 column 14"),
            ("{", "EOF"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read().unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("registries.json"), "{error}");
        }
    }
}
