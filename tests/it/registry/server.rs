//! Debian's registry, on a port of its own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::support::{PATIENCE, prepare};

/// A registry, until it is dropped.
pub(super) struct Registry {
    process: Option<Child>,
    pub(super) port: u16,
    dir: TempDir,
}

/// The bcrypt hash of `secret`, as `htpasswd -B` writes it.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

impl Registry {
    /// One that lets everybody in, without encryption.
    pub(super) fn start() -> Self {
        Self::configured(|_| String::new(), "")
    }

    /// One for `me` with the password `secret`, without encryption.
    pub(super) fn with_password() -> Self {
        Self::configured(htpasswd, "")
    }

    /// The same with encryption, by a certificate for 127.0.0.1 and registry.test that the authority in
    /// [`Registry::ca`] has signed.
    pub(super) fn with_password_and_tls() -> Self {
        Self::configured(
            htpasswd,
            "tls:\n    certificate: DIR/server.crt\n    key: DIR/server.key\n",
        )
    }

    /// One that wants to see a certificate of the caller, by the same authority.
    pub(super) fn with_client_certificates() -> Self {
        let tls = "tls:\n    certificate: DIR/server.crt\n    key: DIR/server.key\n    clientcas:\n      - DIR/ca.crt\n";
        Self::configured(|_| String::new(), tls)
    }

    /// One that sends callers to the token server at `realm`, whose certificate is `certificate`.
    pub(super) fn with_tokens(realm: &str, certificate: &Path) -> Self {
        let auth = format!(
            "auth:\n  token:\n    realm: {realm}\n    service: test-registry\n    issuer: test-tokens\n    rootcertbundle: {}\n",
            certificate.display()
        );
        Self::configured(|_| auth.clone(), "")
    }

    fn configured(auth: impl Fn(&Path) -> String, tls: &str) -> Self {
        prepare();
        let dir = tempfile::tempdir().unwrap();
        if !tls.is_empty() {
            certificates(dir.path());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = dir.path().display().to_string();
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: DIR/data\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n  {tls}\n{}",
            auth(dir.path()),
        );
        fs::write(dir.path().join("config.yml"), config.replace("DIR", &directory)).unwrap();
        let mut registry = Self { process: None, port, dir };
        registry.resume();
        registry
    }

    /// Starts it again after [`Registry::stop`], with what it had.
    pub(super) fn resume(&mut self) {
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(self.dir.path().join("config.yml"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap_or_else(|error| {
            panic!(
                "cannot run docker-registry: {error}; install it: apt-get install docker-registry"
            )
        }));
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "docker-registry does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Ends it; nobody listens at its port then.
    pub(super) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Its name in references.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A reference to something in it.
    pub(super) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host())
    }

    /// The certificate of the authority that has signed its own.
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// The certificate and key of a caller.
    pub(super) fn client(&self) -> (PathBuf, PathBuf) {
        (self.dir.path().join("client.crt"), self.dir.path().join("client.key"))
    }

    /// Where it keeps a blob.
    pub(super) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn htpasswd(dir: &Path) -> String {
    let file = dir.join("htpasswd");
    fs::write(&file, format!("me:{HASH}\n")).unwrap();
    format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
}

/// An authority, and certificates that it has signed: `server` and `client`.
fn certificates(dir: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = [
        "req",
        "-x509",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
    ];
    openssl(dir, &[&ca[..], &key].concat());
    for (name, extension) in [
        ("server", "subjectAltName=IP:127.0.0.1,DNS:registry.test\n"),
        ("client", "extendedKeyUsage=clientAuth\n"),
    ] {
        fs::write(dir.join("extensions"), extension).unwrap();
        let [key_file, request, certificate] =
            ["key", "csr", "crt"].map(|kind| format!("{name}.{kind}"));
        let subject = format!("/CN={name}");
        let ask = ["req", "-keyout", &key_file, "-out", &request, "-subj", &subject];
        openssl(dir, &[&ask[..], &key].concat());
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "extensions",
            "-out",
            &certificate,
        ];
        openssl(dir, &sign);
    }
}

/// Runs openssl in a directory; it must succeed. Returns what it printed.
#[track_caller]
pub(super) fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {args:?}: {said}");
    output.stdout
}
