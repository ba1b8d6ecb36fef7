//! Signatures of images, as cosign makes them with a key:
//! <https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>. Checked with public keys
//! that are files here; nobody else is asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::image::document::digest_of;
use crate::model::Digest;

/// A public key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The key itself, as `ring` reads it.
    key: Vec<u8>,
    kind: Kind,
    fingerprint: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl Key {
    /// Reads a file that begins with `-----BEGIN PUBLIC KEY-----`.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| "it holds no public key (`-----BEGIN PUBLIC KEY-----`)")?;
        let (kind, key) = key_info(&der).ok_or(
            "the key is of a kind that orca does not know; use ECDSA P-256 or P-384, Ed25519 or RSA",
        )?;
        Ok(Self { key: key.to_vec(), kind, fingerprint: digest_of(&der) })
    }

    /// What identifies it: the digest of the whole key.
    pub(super) fn fingerprint(&self) -> Digest {
        self.fingerprint.clone()
    }

    /// Whether it made `signature` over `message`.
    fn made(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithms: &[&'static dyn VerificationAlgorithm] = match self.kind {
            Kind::P256 => &[&ECDSA_P256_SHA256_ASN1],
            // The specification is silent; signers use either.
            Kind::P384 => &[&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1],
            Kind::Ed25519 => &[&ED25519],
            Kind::Rsa => &[&RSA_PKCS1_2048_8192_SHA256],
        };
        let fits = |algorithm: &&'static dyn VerificationAlgorithm| {
            UnparsedPublicKey::new(*algorithm, &self.key).verify(message, signature).is_ok()
        };
        algorithms.iter().any(fits)
    }
}

/// Object identifiers of the kinds of keys.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519_ID: &[u8] = &[0x2b, 0x65, 0x70];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The kind of a key and the key itself: RFC 5280, `SubjectPublicKeyInfo`.
fn key_info(der: &[u8]) -> Option<(Kind, &[u8])> {
    let (info, _) = element(der, 0x30)?;
    let (algorithm, rest) = element(info, 0x30)?;
    let (id, parameters) = element(algorithm, 0x06)?;
    let (bits, _) = element(rest, 0x03)?;
    // The first byte says how many bits of the last are not used: none, in keys.
    let key = bits.strip_prefix(&[0])?;
    let kind = match id {
        EC => match element(parameters, 0x06)?.0 {
            P256 => Kind::P256,
            P384 => Kind::P384,
            _ => return None,
        },
        ED25519_ID => Kind::Ed25519,
        RSA => Kind::Rsa,
        _ => return None,
    };
    Some((kind, key))
}

/// The content of a DER element with this tag, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match usize::from(length) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long & 0x7f).filter(|(b, _)| b.len() <= 3)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

/// A statement that an image is the right one, with its signature.
#[derive(Debug)]
pub(super) struct Signed {
    message: Vec<u8>,
    signature: Vec<u8>,
    /// The digest it is about.
    about: Digest,
}

/// The media type of the statements that cosign puts beside images.
pub(super) const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with their signature.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What newer versions make instead.
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Named,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Sig>,
}

#[derive(Deserialize)]
struct Sig {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: std::collections::BTreeMap<String, String>,
}

impl Signed {
    /// A statement in the simple form, and its signature from the annotation beside it.
    pub(super) fn simple(payload: Vec<u8>, signature: &str) -> Option<Self> {
        let read: Payload = serde_json::from_slice(&payload).ok()?;
        if read.critical.kind != "cosign container image signature" {
            return None;
        }
        let about = read.critical.image.digest.parse().ok()?;
        let signature = STANDARD.decode(signature.trim()).ok()?;
        Some(Self { message: payload, signature, about })
    }

    /// The statements of a bundle: in-toto statements in an envelope.
    /// <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>
    pub(super) fn bundle(bytes: &[u8]) -> Vec<Self> {
        let read = || {
            let Bundle { dsse_envelope: envelope } = serde_json::from_slice(bytes).ok()?;
            let payload = STANDARD.decode(&envelope.payload).ok()?;
            let statement: Statement = serde_json::from_slice(&payload).ok()?;
            if statement.predicate_type != "https://sigstore.dev/cosign/sign/v1" {
                return None;
            }
            let kind = &envelope.payload_type;
            let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
            let message = [head.as_bytes(), &payload].concat();
            let about = |subject: &Subject| Digest::sha256(subject.digest.get("sha256")?).ok();
            let mut found = Vec::new();
            for subject in statement.subject.iter().filter_map(about) {
                for Sig { sig } in &envelope.signatures {
                    let signature = STANDARD.decode(sig).ok()?;
                    found.push(Self {
                        message: message.clone(),
                        signature,
                        about: subject.clone(),
                    });
                }
            }
            Some(found)
        };
        read().unwrap_or_default()
    }

    /// The key of `keys` that says so of one of these digests.
    pub(super) fn by<'k>(&self, keys: &'k [Key], digests: &[&Digest]) -> Option<&'k Key> {
        if !digests.contains(&&self.about) {
            return None;
        }
        keys.iter().find(|key| key.made(&self.message, &self.signature))
    }
}
