//! The names of images, as docker reads them.

use std::fmt;
use std::str::FromStr;

use super::error::ImageError;
use crate::model::Digest;

/// The full name of an image: `docker.io/library/nginx:1.29`, with a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The registry's host, with a port if it has one: `docker.io`.
    pub registry: String,
    /// The path there: `library/nginx`.
    pub repository: String,
    /// The tag; `latest` if there is neither tag nor digest.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Where images without a registry in their name come from.
    pub const DEFAULT_REGISTRY: &str = crate::model::DEFAULT_REGISTRY;

    /// Registry and repository: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The shortest text that means the same, as docker shows it: `nginx:1.29`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/").unwrap_or(&full);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    /// Reads any form that docker reads, and fills in what it leaves out.
    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = |reason| ImageError::BadReference { reference: text.to_owned(), reason };
        if text.len() > 1024 {
            return Err(bad("it is too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| bad("the digest must be sha256:<64 hex digits>"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("a tag has letters, digits, `_`, `.` and `-`, at most 128"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (host, path),
            _ => (Self::DEFAULT_REGISTRY, name),
        };
        let registry =
            if registry == "index.docker.io" { Self::DEFAULT_REGISTRY } else { registry };
        let plain = registry == Self::DEFAULT_REGISTRY && !path.contains('/');
        let repository = if plain { format!("library/{path}") } else { path.to_owned() };
        if path.is_empty() {
            return Err(bad("it has no name"));
        }
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(bad("the name must be in lower case"));
        }
        if repository.len() > 255 || !repository.split('/').all(is_part) || !is_host_name(registry)
        {
            return Err(bad(
                "a name has lower-case letters, digits and single `.`, `_`, `-` and `/` between them",
            ));
        }
        let latest = (tag.is_none() && digest.is_none()).then_some("latest");
        let tag = tag.or(latest).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// Whether the first part of a name is a registry, not a repository.
fn is_host(part: &str) -> bool {
    part.contains('.')
        || part.contains(':')
        || part == "localhost"
        || part.chars().any(|c| c.is_ascii_uppercase())
}

fn is_host_name(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let good_name = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(letter) && !name.starts_with(['-', '.']),
    };
    good_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// One part of a repository's path.
fn is_part(part: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !part.starts_with(alnum) || !part.ends_with(alnum) {
        return false;
    }
    let separators = part.split(alnum).filter(|between| !between.is_empty());
    separators
        .into_iter()
        .all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn names_are_completed_as_docker_does() {
        let d = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1.29", "docker.io/library/nginx:1.29".to_owned()),
            ("bitnami/redis", "docker.io/bitnami/redis:latest".to_owned()),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest".to_owned()),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("localhost:5000/x", "localhost:5000/x:latest".to_owned()),
            ("127.0.0.1:5000/x:y", "127.0.0.1:5000/x:y".to_owned()),
            ("[::1]:5000/x", "[::1]:5000/x:latest".to_owned()),
            ("a__b/c-d--e.f", "docker.io/a__b/c-d--e.f:latest".to_owned()),
            (&format!("nginx@{d}"), format!("docker.io/library/nginx@{d}")),
            (&format!("nginx:1@{d}"), format!("docker.io/library/nginx:1@{d}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), full, "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for text in [
            "",
            "Nginx",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a:b c",
            "a:-x",
            "-a",
            "a..b",
            "a___b",
            "a@sha256:12",
            "host:99999/x",
            "a b",
            "../a",
            "a/../b",
            "é",
            ":5000",
            "localhost:5000/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!("a".repeat(2000).parse::<Reference>().is_err());
    }

    #[test]
    fn the_familiar_form_leaves_out_what_docker_fills_in() {
        for (text, short) in
            [("nginx", "nginx:latest"), ("a/b:1", "a/b:1"), ("g.io/a", "g.io/a:latest")]
        {
            assert_eq!(text.parse::<Reference>().unwrap().familiar(), short);
        }
    }
}
