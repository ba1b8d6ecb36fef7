//! Which images are accepted, with signatures that openssl makes.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Orca;

use super::commands::publish;
use super::server::{Registry, openssl};

/// Someone with a key.
struct Signer {
    dir: TempDir,
    /// How openssl is told to hash; `None` for keys that do that themselves.
    hash: Option<&'static str>,
}

impl Signer {
    fn new(generate: &[&str], hash: Option<&'static str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        openssl(dir.path(), &[&["genpkey", "-out", "key.pem"], generate].concat());
        openssl(dir.path(), &["pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"]);
        Self { dir, hash }
    }

    fn p256() -> Self {
        let kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        Self::new(&kind, Some("-sha256"))
    }

    fn sign(&self, message: &[u8]) -> String {
        fs::write(self.dir.path().join("message"), message).unwrap();
        let signature = match self.hash {
            Some(hash) => openssl(self.dir.path(), &["dgst", hash, "-sign", "key.pem", "message"]),
            None => openssl(
                self.dir.path(),
                &["pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "message"],
            ),
        };
        STANDARD.encode(signature)
    }

    /// Gives the daemon the public key under a name.
    fn publish(&self, orca: &Orca, name: &str) {
        let to = orca.files().join("config").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(self.dir.path().join("key.pub"), to).unwrap();
    }
}

/// What a signer states of a digest, as cosign writes it.
fn payload(digest: &str) -> Vec<u8> {
    let payload = json!({"critical": {
        "identity": {"docker-reference": "registry/web"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }, "optional": null});
    serde_json::to_vec(&payload).unwrap()
}

/// A registry's own words, by curl.
fn put(registry: &Registry, path: &str, kind: &str, body: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    fs::write(&file, body).unwrap();
    let url = if path.starts_with("http") {
        path.to_owned()
    } else {
        format!("http://{}/v2/{path}", registry.host())
    };
    let data = format!("@{}", file.display());
    let header = format!("Content-Type: {kind}");
    let args = ["-sS", "-f", "-X", "PUT", "-H", &header, "--data-binary", &data, "-i", &url];
    curl(&args)
}

#[track_caller]
fn curl(args: &[&str]) -> String {
    let output = std::process::Command::new("curl").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn header(answer: &str, name: &str) -> Option<String> {
    answer.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Puts a blob into a repository; its digest.
fn put_blob(registry: &Registry, repository: &str, bytes: &[u8]) -> String {
    let url = format!("http://{}/v2/{repository}/blobs/uploads/", registry.host());
    let begun = curl(&["-sS", "-f", "-X", "POST", "-i", &url]);
    let location = header(&begun, "location").unwrap();
    let digest = sha256(bytes);
    let with = if location.contains('?') { '&' } else { '?' };
    put(registry, &format!("{location}{with}digest={digest}"), "application/octet-stream", bytes);
    digest
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Where a statement is put.
enum Beside {
    /// Under the tag that cosign uses.
    Tag,
    /// In the list of referrers, which this registry keeps under a tag.
    Referrers,
}

/// Puts statements (layers with their media types and annotations) beside an image.
fn put_statements(
    registry: &Registry,
    repository: &str,
    digest: &str,
    layers: &[Value],
    at: &Beside,
) {
    let config = put_blob(registry, repository, b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": layers,
    });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let hex = digest.strip_prefix("sha256:").unwrap();
    match at {
        Beside::Tag => {
            put(registry, &format!("{repository}/manifests/sha256-{hex}.sig"), kind, &bytes);
        }
        Beside::Referrers => {
            let own = sha256(&bytes);
            put(registry, &format!("{repository}/manifests/{own}"), kind, &bytes);
            let index = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [{"mediaType": kind, "digest": own, "size": bytes.len(),
                    "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"}],
            });
            put(
                registry,
                &format!("{repository}/manifests/sha256-{hex}"),
                "application/vnd.oci.image.index.v1+json",
                &serde_json::to_vec(&index).unwrap(),
            );
        }
    }
}

/// A layer with a statement in the simple form.
fn simple(registry: &Registry, repository: &str, payload: &[u8], signature: &str) -> Value {
    let digest = put_blob(registry, repository, payload);
    json!({
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": digest, "size": payload.len(),
        "annotations": {"dev.cosignproject.cosign/signature": signature},
    })
}

/// A registry with a busybox image `web:1` in it; its digest.
fn published(orca: &Orca, registry: &Registry, name: &str) -> String {
    publish(orca, name);
    let (repository, tag) = name.split_once('/').unwrap().1.rsplit_once(':').unwrap();
    let url = format!("http://{}/v2/{repository}/manifests/{tag}", registry.host());
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let answer = curl(&["-sS", "-f", "-I", "-H", accept, &url]);
    header(&answer, "docker-content-digest").unwrap()
}

fn require(orca: &Orca, registry: &Registry, keys: &[&str]) {
    let policy = json!({
        "default": "accept",
        "rules": [{"images": format!("{}/**", registry.host()), "keys": keys}],
    });
    orca.write("config/policy.json", &policy.to_string());
}

fn layers_here(root: &Path) -> usize {
    fs::read_dir(root.join("images/blobs/sha256")).unwrap().count()
}

#[test]
fn an_image_must_be_signed_where_the_policy_says_so() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let (owner, other) = (Signer::p256(), Signer::p256());
    owner.publish(&orca, "owner.pub");
    let name = registry.name("web:1");
    let digest = published(&orca, &registry, &name);
    let before = layers_here(&orca.root());
    require(&orca, &registry, &["owner.pub"]);
    let refused = |said: &str| {
        let ran = orca.run(&["image", "pull", &name]).expect(1);
        assert!(ran.stderr.contains(said) && ran.stderr.contains("policy.json"), "{}", ran.stderr);
        assert_eq!(layers_here(&orca.root()), before, "nothing of it is here");
    };
    refused("has no signature");
    // Another's signature; one of another digest; one that was changed; and none at all.
    let right = payload(&digest);
    let wrong = payload(&sha256(b"something else"));
    let forged = other.sign(&right);
    put_statements(
        &registry,
        "web",
        &digest,
        &[simple(&registry, "web", &right, &forged)],
        &Beside::Tag,
    );
    refused("not by a key");
    let (elsewhere, junk) = (owner.sign(&wrong), "junk".to_owned());
    let bad = [
        (&wrong, &elsewhere),
        (&wrong, &owner.sign(&right)),
        (&right, &junk),
        (&right, &elsewhere),
    ];
    let layers = bad.map(|(payload, signature)| simple(&registry, "web", payload, signature));
    put_statements(&registry, "web", &digest, &layers, &Beside::Tag);
    refused("is by a key");
    // Beside bad ones, a good one is enough.
    let good = simple(&registry, "web", &right, &owner.sign(&right));
    let mut layers = layers.to_vec();
    layers.push(good);
    put_statements(&registry, "web", &digest, &layers, &Beside::Tag);
    orca.ok(&["image", "pull", &name]);
    let stack = format!(
        "name: s\nservices:\n  web:\n    image: {name}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n"
    );
    orca.up(&stack);
    // What was believed for one key is not for another.
    other.publish(&orca, "other.pub");
    require(&orca, &registry, &["other.pub"]);
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!(
        ran.stderr.contains("not by a key") || ran.stderr.contains("is by a key"),
        "{}",
        ran.stderr
    );
    let ran = orca.run(&["up", "-f", "stack.yaml", "--pull", "never"]).expect(1);
    assert!(ran.stderr.contains("pull it"), "{}", ran.stderr);
    require(&orca, &registry, &["other.pub", "owner.pub"]);
    orca.up(&stack);
}

#[test]
fn every_kind_of_key_and_every_place_is_known() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let signers = [
        ("p256", Signer::p256(), Beside::Referrers),
        (
            "p384",
            Signer::new(
                &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
                Some("-sha256"),
            ),
            Beside::Tag,
        ),
        ("ed25519", Signer::new(&["-algorithm", "ED25519"], None), Beside::Tag),
        (
            "rsa",
            Signer::new(
                &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                Some("-sha256"),
            ),
            Beside::Tag,
        ),
    ];
    for (kind, signer, place) in &signers {
        let (key, name) = (format!("{kind}.pub"), registry.name(&format!("{kind}:1")));
        signer.publish(&orca, &key);
        orca.write("config/policy.json", r#"{"default": "accept"}"#);
        let digest = published(&orca, &registry, &name);
        require(&orca, &registry, &[&key]);
        let payload = payload(&digest);
        let layer = simple(&registry, kind, &payload, &signer.sign(&payload));
        put_statements(&registry, kind, &digest, &[layer], place);
        orca.ok(&["image", "pull", &name]);
    }
}

#[test]
fn a_bundle_is_a_signature_too() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let signer = Signer::p256();
    signer.publish(&orca, "key.pub");
    let name = registry.name("web:1");
    let digest = published(&orca, &registry, &name);
    require(&orca, &registry, &["key.pub"]);
    let hex = digest.strip_prefix("sha256:").unwrap();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {},
    })
    .to_string();
    let kind = "application/vnd.in-toto+json";
    let bundle = |signed: &str| {
        let message = format!("DSSEv1 {} {kind} {} {signed}", kind.len(), signed.len());
        let bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement), "payloadType": kind,
                "signatures": [{"sig": signer.sign(message.as_bytes())}],
            },
        });
        let bytes = serde_json::to_vec(&bundle).unwrap();
        let blob = put_blob(&registry, "web", &bytes);
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "digest": blob, "size": bytes.len()})
    };
    let bad = bundle("another statement");
    put_statements(&registry, "web", &digest, &[bad], &Beside::Referrers);
    orca.run(&["image", "pull", &name]).expect(1);
    let good = bundle(&statement);
    put_statements(&registry, "web", &digest, &[good], &Beside::Referrers);
    orca.ok(&["image", "pull", &name]);
}

#[test]
fn names_are_accepted_or_refused() {
    let registry = Registry::start();
    let orca = Orca::new().with_busybox();
    let (good, bad) = (registry.name("good/web:1"), registry.name("bad/web:1"));
    let digest = published(&orca, &registry, &good);
    publish(&orca, &bad);
    let host = registry.host();
    let policy = |rules: &str| {
        let text = format!(r#"{{"default": "refuse", "rules": [{rules}]}}"#);
        orca.write("config/policy.json", &text);
    };
    policy(&format!(r#"{{"images": "{host}/good/*"}}"#));
    orca.ok(&["image", "pull", &good]);
    let ran = orca.run(&["image", "pull", &bad]).expect(1);
    assert!(ran.stderr.contains("no rule accepts it"), "{}", ran.stderr);
    // What is here by a name that is not accepted does not run either.
    let stack = |image: &str| {
        format!(
            "name: s\nservices:\n  web:\n    image: {image}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n"
        )
    };
    orca.write("stack.yaml", &stack("busybox"));
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!(ran.stderr.contains("no rule accepts it"), "{}", ran.stderr);
    orca.up(&stack(&good));
    policy(&format!(r#"{{"images": "{host}/good/*", "digest": true}}"#));
    let ran = orca.run(&["up", "-f", "stack.yaml"]).expect(1);
    assert!(ran.stderr.contains("by its digest"), "{}", ran.stderr);
    orca.up(&stack(&format!("{}@{digest}", good.rsplit_once(':').unwrap().0)));
    // A policy that makes no sense lets nothing in; orca itself is not asked.
    orca.write("config/policy.json", r#"{"default": "refuse", "rules": [{"image": "x"}]}"#);
    let ran = orca.run(&["image", "pull", &good]).expect(2);
    assert!(ran.stderr.contains("unknown field `image`"), "{}", ran.stderr);
    orca.write("config/policy.json", r#"{"default": "refuse"}"#);
    orca.up("name: s\nservices:\n  web:\n    image: orca/builtin\n    command: [demo, sleep]\n");
}
