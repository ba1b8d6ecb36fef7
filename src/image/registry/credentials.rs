//! Names and passwords, from docker's `config.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::image::error::{Doing as _, Result, bad};
use crate::image::reference::Reference;

/// Who we are at a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and a password (or an access token in its place).
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (`identitytoken`).
    Identity(String),
}

impl fmt::Debug for Credentials {
    /// Says nothing that is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Identity(_) => f.write_str("Identity"),
        }
    }
}

/// Who we are at which registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logins {
    known: BTreeMap<String, Credentials>,
    /// Helper programs that hold credentials, by registry; `*` is for all. Orca runs no program of
    /// the host: they are only named in messages.
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What docker calls its own registry there.
const DOCKER_IO: &str = "https://index.docker.io/v1/";

impl Logins {
    /// Where docker keeps them for the current user: `$DOCKER_CONFIG/config.json`, else
    /// `~/.docker/config.json`.
    pub fn default_file() -> Option<PathBuf> {
        let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
        Some(dir.or_else(home)?.join("config.json"))
    }

    /// Reads docker's file; nobody is known if there is none.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            done => done.doing("read", path)?,
        };
        let config: DockerConfig = serde_json::from_slice(&bytes)
            .map_err(|error| bad(path.display(), format!("not docker's config.json: {error}")))?;
        let mut logins = Self { helpers: config.cred_helpers, ..Self::default() };
        if !config.creds_store.is_empty() {
            logins.helpers.insert("*".to_owned(), config.creds_store);
        }
        for (registry, entry) in config.auths {
            // An entry without a secret says that a helper has it.
            if let Some(credentials) = entry.credentials() {
                logins.add(&registry, credentials);
            }
        }
        Ok(logins)
    }

    /// Remembers who we are at a registry, until the end of the process.
    pub fn add(&mut self, registry: &str, credentials: Credentials) {
        self.known.insert(host(registry), credentials);
    }

    /// Who we are at a registry.
    pub fn get(&self, registry: &str) -> Option<&Credentials> {
        self.known.get(&host(registry))
    }

    /// The program that would know, if docker's configuration names one.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let named = self.helpers.get(registry).or_else(|| self.helpers.get("*"));
        named.map(String::as_str)
    }

    /// Writes a login into docker's file, or takes it out (`None`); all else in it stays.
    ///
    /// # Errors
    /// If it cannot be read, understood or written.
    pub fn write(path: &Path, registry: &str, credentials: Option<&Credentials>) -> Result<()> {
        let broken = || bad(path.display(), "not docker's config.json");
        let mut config: Map<String, Value> = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            done => serde_json::from_slice(&done.doing("read", path)?).map_err(|_| broken())?,
        };
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let auths = auths.as_object_mut().ok_or_else(broken)?;
        auths.retain(|known, _| host(known) != host(registry));
        if let Some(credentials) = credentials {
            let key =
                if host(registry) == Reference::DEFAULT_REGISTRY { DOCKER_IO } else { registry };
            auths.insert(key.to_owned(), entry(credentials));
        }
        let bytes =
            serde_json::to_vec_pretty(&config).map_err(|error| bad(path.display(), error))?;
        write_private(path, &bytes)
    }
}

impl Entry {
    fn credentials(self) -> Option<Credentials> {
        if !self.identitytoken.is_empty() {
            return Some(Credentials::Identity(self.identitytoken));
        }
        let decoded =
            STANDARD.decode(self.auth.trim()).ok().and_then(|b| String::from_utf8(b).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = match pair {
            Some((user, password)) => (user.to_owned(), password.trim_end_matches('\0').to_owned()),
            None => (self.username, self.password),
        };
        (!user.is_empty()).then_some(Credentials::Password { user, password })
    }
}

fn entry(credentials: &Credentials) -> Value {
    match credentials {
        Credentials::Password { user, password } => {
            json!({ "auth": STANDARD.encode(format!("{user}:{password}")) })
        }
        Credentials::Identity(token) => json!({ "identitytoken": token }),
    }
}

/// The host of a key of docker's file, which may be written as an address.
fn host(key: &str) -> String {
    let plain = key.trim_start_matches("https://").trim_start_matches("http://");
    let host = plain.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => Reference::DEFAULT_REGISTRY.to_owned(),
        other => other.to_owned(),
    }
}

/// Replaces a file that only its owner may read.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).doing("make", dir)?;
    let draft = dir.join(format!(".config.json.{}", crate::image::disk::unique()));
    let write = || {
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().doing("write", path).inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::{Credentials, Logins};

    fn password(user: &str, password: &str) -> Credentials {
        Credentials::Password { user: user.to_owned(), password: password.to_owned() }
    }

    #[test]
    fn dockers_file_is_read_in_all_its_forms() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let text = r#"{
            "auths": {
                "https://index.docker.io/v1/": {"auth": "bWU6c2VjOnJldA=="},
                "ghcr.io": {"identitytoken": "token"},
                "http://127.0.0.1:5000/v2/": {"username": "a", "password": "b"},
                "helped.io": {}
            },
            "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "desktop", "other": 1
        }"#;
        fs::write(&path, text).unwrap();
        let logins = Logins::read(&path).unwrap();
        assert_eq!(logins.get("docker.io"), Some(&password("me", "sec:ret")));
        assert_eq!(logins.get("ghcr.io"), Some(&Credentials::Identity("token".to_owned())));
        assert_eq!(logins.get("127.0.0.1:5000"), Some(&password("a", "b")));
        assert_eq!(logins.get("helped.io"), None);
        assert_eq!(
            (logins.helper("gcr.io"), logins.helper("x")),
            (Some("gcloud"), Some("desktop"))
        );
        assert!(!format!("{logins:?}").contains("sec"));
        assert_eq!(Logins::read(&dir.path().join("none")).unwrap(), Logins::default());
        fs::write(&path, "{").unwrap();
        assert!(Logins::read(&path).is_err());
    }

    #[test]
    fn a_login_is_written_beside_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker/config.json");
        Logins::write(&path, "docker.io", Some(&password("me", "x"))).unwrap();
        Logins::write(&path, "r:1", Some(&password("you", "y"))).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let logins = Logins::read(&path).unwrap();
        assert_eq!(logins.get("docker.io"), Some(&password("me", "x")));
        assert!(fs::read_to_string(&path).unwrap().contains("https://index.docker.io/v1/"));
        Logins::write(&path, "docker.io", None).unwrap();
        let logins = Logins::read(&path).unwrap();
        assert_eq!(
            (logins.get("docker.io"), logins.get("r:1")),
            (None, Some(&password("you", "y")))
        );
    }
}
