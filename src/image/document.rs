//! The JSON documents of images: manifest, index and configuration, in the forms of OCI and docker.
//! <https://github.com/opencontainers/image-spec>

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{ImageError, Result, bad};
use crate::model::{Digest, hex};

/// Media types of OCI.
pub(crate) mod media {
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub(crate) const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub(crate) const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub(crate) const DOCKER_INDEX: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// Where the name of an image is written in an index.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same, by containerd and newer docker, with the registry.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Points at a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        let (media_type, digest) = (media_type.to_owned(), digest.to_string());
        Self { media_type, digest, size, ..Self::default() }
    }

    /// The digest, which must be sha256.
    pub(crate) fn digest(&self) -> Result<Digest> {
        self.digest.parse().map_err(|_| bad(&self.digest, "only sha256 digests are supported"))
    }

    /// Whether it points at an index, not a manifest.
    pub(crate) fn is_index(&self) -> bool {
        self.media_type == media::INDEX || self.media_type == media::DOCKER_INDEX
    }
}

/// The kind of machine an image is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

impl Platform {
    /// This host's.
    pub(crate) fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: String::new(),
        }
    }

    /// One without a variant.
    pub(crate) fn of(os: &str, architecture: &str) -> Self {
        let (architecture, os) = (architecture.to_owned(), os.to_owned());
        Self { architecture, os, variant: String::new() }
    }

    /// Whether such a host runs it. Variants are not compared: they say which of several is best.
    pub(crate) fn runs_on(&self, host: &Self) -> bool {
        // Images made by hand often say nothing.
        let same = |mine: &str, its: &str| mine.is_empty() || mine == its;
        same(&self.architecture, &host.architecture) && same(&self.os, &host.os)
    }

    /// Whether this host runs it although it is not its own: an older form of the same machine, or one
    /// that somebody has set up an emulator for (`binfmt_misc`).
    pub(crate) fn is_emulated(&self) -> bool {
        let name = match self.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            "386" if Self::host().architecture == "amd64" => return true,
            "386" => "i386",
            other => other,
        };
        let registered = format!("/proc/sys/fs/binfmt_misc/qemu-{name}");
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && std::path::Path::new(&registered).exists()
    }

    /// How well it fits what is wanted, 0 being best; `None` if it does not.
    pub(crate) fn rank(&self, wanted: &Self) -> Option<u8> {
        if !self.runs_on(wanted) {
            return None;
        }
        let usual = |platform: &Self| match platform.architecture.as_str() {
            "arm64" => "v8",
            "amd64" => "v1",
            _ => "",
        };
        let variant = |platform: &Self| match platform.variant.as_str() {
            "" => usual(platform).to_owned(),
            variant => variant.to_owned(),
        };
        Some(match variant(self) == variant(wanted) {
            true => 0,
            false if self.variant.is_empty() => 1,
            false => 2,
        })
    }
}

impl std::str::FromStr for Platform {
    type Err = ImageError;

    /// Reads `os/architecture[/variant]`, or the architecture alone, under the names docker knows.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, ""),
            [os, architecture] => (os, architecture, ""),
            [os, architecture, variant] => (os, architecture, variant),
            _ => ("", "", ""),
        };
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("i386" | "i686" | "x86", variant) => ("386", variant),
            other => other,
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
        let good = |part: &str| !part.is_empty() && part.chars().all(word);
        if !good(os) || !good(architecture) || !variant.chars().all(word) {
            let reason = "a platform is written like linux/amd64 or linux/arm/v7";
            return Err(bad(format!("platform `{text}`"), reason));
        }
        if os != "linux" {
            return Err(bad(format!("platform `{text}`"), "orca runs images for linux only"));
        }
        Ok(Self { variant: variant.to_owned(), ..Self::of(os, architecture) })
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

/// The list of images of a layout, or of the platforms of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// One image: its configuration and layers, the bottom one first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// One line of the `manifest.json` of `docker save`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct DockerManifest {
    pub(crate) config: String,
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

/// Reads a document, which `what` describes.
pub(crate) fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|error| bad(what, format!("not the JSON it should be: {error}")))
}

/// Writes a document. The types here can all be written; an error is one of ours.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| bad("a document of an image", error))
}

/// The digest of `bytes`.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    finished(&Sha256::digest(bytes))
}

/// The digest that a hash came to.
pub(crate) fn finished(hash: &[u8]) -> Digest {
    // Sixty-four digits by construction.
    let digits = hex(hash);
    Digest::sha256(&digits).unwrap_or_else(|_| unreachable!("a sha256 has 64 digits: {digits}"))
}

/// The chain ids of layers, from their diff ids, the bottom one first: what a layer is together with
/// all below it. <https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid>
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let next = match chain.last() {
            None => diff_id.clone(),
            Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

/// Refuses an image that this host cannot run.
pub(crate) fn check_platform(image: &str, found: &Platform) -> Result<()> {
    let host = Platform::host();
    if found.runs_on(&host) {
        return Ok(());
    }
    let (image, found, host) = (image.to_owned(), found.to_string(), host.to_string());
    Err(ImageError::Platform { image, found, host })
}
