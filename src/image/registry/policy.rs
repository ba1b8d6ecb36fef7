//! Which images the administrator accepts: `policy.json`.

use std::path::Path;

use serde::Deserialize;

use super::configuration::{content, read};
use super::signature::Key;
use crate::image::builtin::is_builtin;
use crate::image::error::{ImageError, Result, bad};
use crate::image::reference::Reference;
use crate::model::Digest;

/// Which images are accepted; all of them where nothing else is said.
#[derive(Debug, Clone, Default)]
pub struct Policy(Option<Rules>);

#[derive(Debug, Clone)]
struct Rules {
    path: String,
    default: Action,
    rules: Vec<Rule>,
}

/// What holds for some images.
#[derive(Debug, Clone)]
struct Rule {
    images: Vec<String>,
    action: Action,
    digest: bool,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    #[default]
    Accept,
    Refuse,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    default: Action,
    #[serde(default)]
    rules: Vec<FileRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct FileRule {
    images: OneOrMore,
    #[serde(default)]
    action: Action,
    #[serde(default)]
    digest: bool,
    #[serde(default)]
    keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Policy {
    /// Reads the file; without one everything is accepted.
    ///
    /// # Errors
    /// If it, or a key that it names, cannot be read or makes no sense.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let Some(file) = read::<File>(path)? else { return Ok(Self::default()) };
        let rules = file.rules.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| {
            let wrong = |reason: String| bad(path.display(), format!("rules[{index}]: {reason}"));
            rule.checked(path, &wrong)
        });
        let rules = rules.collect::<Result<_>>()?;
        Ok(Self(Some(Rules { path: path.display().to_string(), default: file.default, rules })))
    }

    /// Lets an image in by its name, or not. What must still be shown by those that are let in is
    /// [`keys`](Self::keys).
    ///
    /// # Errors
    /// If the policy refuses it.
    pub(super) fn admit(&self, reference: &Reference) -> Result<()> {
        let Some(rules) = &self.0 else { return Ok(()) };
        if is_builtin(&reference.to_string()) {
            return Ok(());
        }
        let refuse = |reason: &str| Err(rules.refused(reference, reason.to_owned()));
        match (rules.rule(reference), rules.default) {
            (None, Action::Accept) => Ok(()),
            (None, Action::Refuse) => refuse("no rule accepts it"),
            (Some(rule), _) if rule.action == Action::Refuse => refuse("a rule refuses it"),
            (Some(rule), _) if rule.digest && reference.digest.is_none() => {
                refuse("it must be named by its digest (NAME@sha256:…)")
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// The keys of which one must have signed the image; `None` if it need not be signed.
    pub(super) fn keys(&self, reference: &Reference) -> Option<&[Key]> {
        if is_builtin(&reference.to_string()) {
            return None;
        }
        let rule = self.0.as_ref()?.rule(reference)?;
        (!rule.keys.is_empty()).then_some(&rule.keys)
    }

    /// Whether an image that `signed` has signed may be used without looking again.
    pub(super) fn trusts(&self, reference: &Reference, signed: Option<&Digest>) -> bool {
        let known = |key: &Key| signed.is_some_and(|signed| *signed == key.fingerprint());
        self.keys(reference).is_none_or(|keys| keys.iter().any(known))
    }

    /// The error for an image that is refused.
    pub(super) fn refused(&self, reference: &Reference, reason: String) -> ImageError {
        let rules = self.0.as_ref().map(|rules| rules.refused(reference, reason.clone()));
        rules.unwrap_or_else(|| bad(reference, reason))
    }
}

impl Rules {
    /// The first rule that is about an image.
    fn rule(&self, reference: &Reference) -> Option<&Rule> {
        let name = reference.name();
        self.rules.iter().find(|rule| rule.images.iter().any(|pattern| fits(pattern, &name)))
    }

    fn refused(&self, reference: &Reference, reason: String) -> ImageError {
        let (image, policy) = (reference.familiar(), self.path.clone());
        ImageError::Refused { image, policy, reason }
    }
}

impl FileRule {
    fn checked(self, path: &Path, wrong: &dyn Fn(String) -> ImageError) -> Result<Rule> {
        let images = match self.images {
            OneOrMore::One(pattern) => vec![pattern],
            OneOrMore::More(patterns) => patterns,
        };
        for pattern in &images {
            if !pattern.contains('/') && !matches!(pattern.as_str(), "*" | "**") {
                let reason = format!(
                    "`{pattern}` has no registry; images are written in full, such as \
                     docker.io/library/nginx or registry.lan/**"
                );
                return Err(wrong(reason));
            }
        }
        if self.action == Action::Refuse && (self.digest || !self.keys.is_empty()) {
            return Err(wrong("what is refused needs neither a digest nor keys".to_owned()));
        }
        let directory = path.parent().unwrap_or(Path::new("/"));
        let key = |file: &String| {
            let path = directory.join(file);
            let none = || wrong(format!("there is no key {}", path.display()));
            let pem = content(&path)?.ok_or_else(none)?;
            Key::from_pem(&pem).map_err(|reason| bad(path.display(), reason))
        };
        let keys = self.keys.iter().map(key).collect::<Result<_>>()?;
        Ok(Rule { images, action: self.action, digest: self.digest, keys })
    }
}

/// Whether a name fits: `*` is any text within a part, `**` any parts.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, behind)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            let (behind, whole) = match behind.strip_prefix('*') {
                Some(behind) => (behind, true),
                None => (behind, false),
            };
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            let may_skip = |at: &usize| whole || !rest[..*at].contains('/');
            ends.take_while(may_skip).any(|at| fits(behind, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Policy, fits};
    use crate::image::reference::Reference;

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, name, fit) in [
            ("docker.io/library/nginx", "docker.io/library/nginx", true),
            ("docker.io/library/nginx", "docker.io/library/nginx2", false),
            ("docker.io/library/*", "docker.io/library/nginx", true),
            ("docker.io/*", "docker.io/library/nginx", false),
            ("docker.io/**", "docker.io/library/nginx", true),
            ("*.corp/**", "r.corp/a/b/c", true),
            ("*.corp/**", "r.corp.evil.io/a", false),
            ("r.io/*/web", "r.io/shop/web", true),
            ("r.io/*/web", "r.io/shop/old/web", false),
            ("r.io/**/web", "r.io/shop/old/web", true),
            ("r.io/web-*", "r.io/web-", true),
            ("**", "anything.at/all", true),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
        // Many stars do not take for ever.
        assert!(!fits(&"*a".repeat(20), &"a".repeat(19)));
    }

    fn policy(text: &str) -> Result<Policy, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.json");
        fs::write(&path, text).unwrap();
        Policy::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = policy(
            r#"{"default": "refuse", "rules": [
                {"images": "docker.io/library/old", "action": "refuse"},
                {"images": ["docker.io/library/*", "r.lan/**"]},
                {"images": "pinned.lan/**", "digest": true}]}"#,
        )
        .unwrap();
        let admits = |name: &str| {
            let reference: Reference = name.parse().unwrap();
            policy.admit(&reference).map_err(|error| error.to_string())
        };
        let digest = format!("pinned.lan/x@sha256:{}", "0".repeat(64));
        for name in ["nginx", "r.lan/a/b:1", "orca/builtin", &digest] {
            admits(name).unwrap();
        }
        for (name, said) in [
            ("old:3", "a rule refuses it"),
            ("evil.io/x", "no rule accepts it"),
            ("pinned.lan/x:1", "by its digest"),
        ] {
            let error = admits(name).unwrap_err();
            assert!(error.contains(said) && error.contains("policy.json"), "{error}");
        }
        assert!(Policy::default().admit(&"x.io/y".parse().unwrap()).is_ok());
    }

    #[test]
    fn mistakes_in_the_file_are_told() {
        for (text, said) in [
            ("{}", "missing field `default`"),
            (r#"{"default": "allow"}"#, "unknown variant `allow`"),
            (r#"{"default": "accept", "rule": []}"#, "unknown field `rule`"),
            (
                r#"{"default": "accept", "rules": [{"images": "nginx"}]}"#,
                "rules[0]: `nginx` has no registry",
            ),
            (
                r#"{"default": "accept", "rules": [{"images": "x.io/**", "keys": ["none.pub"]}]}"#,
                "there is no key",
            ),
            (
                r#"{"default": "accept", "rules": [{"images": "x.io/**", "keys": ["policy.json"]}]}"#,
                "no public key",
            ),
            (
                r#"{"default": "accept", "rules": [{"images": "x.io/**", "action": "refuse", "digest": true}]}"#,
                "needs neither",
            ),
        ] {
            let error = policy(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
