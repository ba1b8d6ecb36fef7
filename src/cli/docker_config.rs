//! Docker's `config.json`: who the user is at which registry. It is the user's own file, so it is read
//! here and not by the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::{CommandError, Outcome};
use crate::model::{Credentials, DEFAULT_REGISTRY, Logins, registry_host};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What docker calls its own registry there.
const DOCKER_IO: &str = "https://index.docker.io/v1/";

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

/// Where docker keeps it for the current user: `$DOCKER_CONFIG/config.json`, else
/// `~/.docker/config.json`.
///
/// # Errors
/// If there is no home directory either.
pub(super) fn file() -> Outcome<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    let none = "cannot find docker's config.json: neither DOCKER_CONFIG nor HOME is set";
    Ok(dir.ok_or_else(|| CommandError::failed(none))?.join("config.json"))
}

/// Who the current user is; nobody where there is no such file.
///
/// # Errors
/// If it cannot be read or understood.
pub(super) fn logins() -> Outcome<Logins> {
    file().map_or_else(|_| Ok(Logins::default()), |file| read(&file))
}

/// Reads docker's file; nobody is known if there is none.
///
/// # Errors
/// If it cannot be read or understood.
fn read(path: &Path) -> Outcome<Logins> {
    let Some(bytes) = content(path)? else { return Ok(Logins::default()) };
    let config: DockerConfig =
        serde_json::from_slice(&bytes).map_err(|error| broken(path, &error.to_string()))?;
    let mut logins = Logins::default();
    if !config.creds_store.is_empty() {
        logins.add_helper("*", &config.creds_store);
    }
    for (registry, program) in &config.cred_helpers {
        logins.add_helper(registry, program);
    }
    for (registry, entry) in config.auths {
        // An entry without a secret says that a helper has it.
        if let Some(credentials) = entry.credentials() {
            logins.add(&registry, credentials);
        }
    }
    Ok(logins)
}

/// Writes a login into docker's file, or takes it out (`None`); all else in it stays. Tells whether
/// there was one before.
///
/// # Errors
/// If it cannot be read, understood or written.
pub(super) fn write(
    path: &Path,
    registry: &str,
    credentials: Option<&Credentials>,
) -> Outcome<bool> {
    let not_docker = || broken(path, "it does not hold what docker writes");
    let mut config: Map<String, Value> = match content(path)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| not_docker())?,
        None if credentials.is_none() => return Ok(false),
        None => Map::new(),
    };
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    let auths = auths.as_object_mut().ok_or_else(not_docker)?;
    let before = auths.len();
    auths.retain(|known, _| registry_host(known) != registry_host(registry));
    let known = auths.len() < before;
    if let Some(credentials) = credentials {
        let host = registry_host(registry);
        let key = if host == DEFAULT_REGISTRY { DOCKER_IO.to_owned() } else { host };
        auths.insert(key, entry(credentials));
    } else if !known {
        return Ok(false);
    }
    let mut bytes =
        serde_json::to_vec_pretty(&config).map_err(|error| broken(path, &error.to_string()))?;
    bytes.push(b'\n');
    replace(path, &bytes)
        .map_err(|error| CommandError::io(format!("cannot write {}", path.display()), &error))?;
    Ok(known)
}

fn content(path: &Path) -> Outcome<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > LARGEST {
            return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
        }
        fs::read(path)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CommandError::io(format!("cannot read {}", path.display()), &error)),
        // Docker takes an empty file for one without anything in it.
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(None),
        Ok(bytes) => Ok(Some(bytes)),
    }
}

fn broken(path: &Path, reason: &str) -> CommandError {
    CommandError::bad_input(format!("{} is not docker's config.json: {reason}", path.display()))
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

/// Replaces a file that only its owner may read. What is behind a symbolic link is replaced, not the
/// link: people keep this file elsewhere.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let draft = dir.join(format!(".config.json.{}", std::process::id()));
    let write = || {
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::{read, write};
    use crate::model::{Credentials, Logins};

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
        let logins = read(&path).unwrap();
        assert_eq!(logins.get("docker.io"), Some(&password("me", "sec:ret")));
        assert_eq!(logins.get("ghcr.io"), Some(&Credentials::Identity("token".to_owned())));
        assert_eq!(logins.get("127.0.0.1:5000"), Some(&password("a", "b")));
        assert_eq!(logins.get("helped.io"), None);
        assert_eq!(
            (logins.helper("gcr.io"), logins.helper("x")),
            (Some("gcloud"), Some("desktop"))
        );
        assert!(!format!("{logins:?}").contains("sec"));
        assert_eq!(read(&dir.path().join("none")).unwrap(), Logins::default());
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
        fs::write(&path, " \n").unwrap();
        assert_eq!(read(&path).unwrap(), Logins::default());
    }

    #[test]
    fn a_login_is_written_beside_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker/config.json");
        assert!(!write(&path, "r:1", None).unwrap());
        assert!(!path.exists());
        assert!(!write(&path, "docker.io", Some(&password("me", "x"))).unwrap());
        assert!(!write(&path, "https://r:1/v2/", Some(&password("you", "y"))).unwrap());
        assert!(write(&path, "r:1", Some(&password("you", "z"))).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let logins = read(&path).unwrap();
        assert_eq!(logins.get("docker.io"), Some(&password("me", "x")));
        assert!(fs::read_to_string(&path).unwrap().contains("https://index.docker.io/v1/"));
        assert!(write(&path, "docker.io", None).unwrap());
        assert!(!write(&path, "docker.io", None).unwrap());
        let logins = read(&path).unwrap();
        assert_eq!(
            (logins.get("docker.io"), logins.get("r:1")),
            (None, Some(&password("you", "z")))
        );
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("config.json"));
        fs::write(&real, r#"{"psFormat": "x"}"#).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "r:1", Some(&password("me", "x"))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("psFormat"));
        assert!(read(&link).unwrap().get("r:1").is_some());
    }
}
