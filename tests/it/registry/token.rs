//! A server that gives out tokens for Debian's registry:
//! <https://distribution.github.io/distribution/spec/auth/jwt/>.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::openssl;

/// A token server, for `me` with the password `secret`.
pub(super) struct Tokens {
    port: u16,
    dir: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What signs the tokens.
struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
}

impl Tokens {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(
            dir.path(),
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                "key.pem",
                "-out",
                "tokens.crt",
                "-days",
                "2",
                "-subj",
                "/CN=test tokens",
            ],
        );
        openssl(
            dir.path(),
            &[
                "pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out",
                "key.der",
            ],
        );
        let certificate = openssl(dir.path(), &["x509", "-in", "tokens.crt", "-outform", "DER"]);
        let key = fs::read(dir.path().join("key.der")).unwrap();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random);
        let signer = Signer { key: key.unwrap(), certificate: STANDARD.encode(certificate) };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (log, signer) = (asked.clone(), Arc::new(signer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &signer, &log);
            }
        });
        Self { port, dir, asked }
    }

    pub(super) fn realm(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.dir.path().join("tokens.crt")
    }

    /// The scopes that tokens were given for since the last call.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn serve(stream: TcpStream, signer: &Signer, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().unwrap().unwrap();
    let headers: Vec<String> =
        lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    // me:secret
    let known = headers.iter().any(|line| {
        line.to_ascii_lowercase().starts_with("authorization:") && line.ends_with("bWU6c2VjcmV0")
    });
    let scopes: Vec<String> = first
        .split(['?', '&', ' '])
        .filter_map(|part| part.strip_prefix("scope="))
        .map(|scope| scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ","))
        .collect();
    let scope = scopes.join(" ");
    let (status, body) = match known {
        true => {
            log.lock().unwrap().push(scope.clone());
            ("200 OK", json!({"token": token(signer, &scope), "expires_in": 300}))
        }
        false => ("401 Unauthorized", json!({"details": "who are you?"})),
    };
    let body = body.to_string();
    let mut stream = &stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

/// A JSON web token that lets in to what `scope` says.
fn token(signer: &Signer, scope: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let access: Vec<Value> = scope
        .split(' ')
        .filter_map(|one| {
            let mut parts = one.splitn(2, ':');
            let (kind, rest) = (parts.next()?, parts.next()?);
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    let claims = json!({
        "iss": "test-tokens", "sub": "me", "aud": "test-registry",
        "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1", "access": access,
    });
    let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [signer.certificate]});
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = signer.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}
