//! Relative paths become absolute, or relative to another directory.

use std::path::{Path as FilePath, PathBuf};

use super::diagnostic::Problems;
use super::tree::{Node, Path, Value};
use super::value::clean_path;

/// From where relative paths are seen.
#[derive(Debug)]
pub(crate) struct Base<'a> {
    /// The directory.
    pub(crate) directory: &'a FilePath,
    /// What `~` means; without it `~` stays.
    pub(crate) home: Option<&'a str>,
}

/// Makes every path of a canonical document start at the base.
pub(crate) fn resolve(root: &mut Node, base: &Base<'_>, problems: &mut Problems) {
    let path = Path::ROOT.key("services");
    for (name, service) in root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten()
    {
        base.service(service, &path.key(name), problems);
    }
    for kind in ["configs", "secrets"] {
        for (_, resource) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten() {
            base.file(resource, "file");
        }
    }
    for (_, volume) in root.get_mut("volumes").and_then(Node::as_map_mut).into_iter().flatten() {
        let local = volume.text_of("driver") == Some("local");
        let Some(options) = volume.get_mut("driver_opts").filter(|_| local) else { continue };
        // This is a bind mount under another name.
        if options.text_of("o") == Some("bind") {
            base.file(options, "device");
        }
    }
}

impl Base<'_> {
    fn service(&self, service: &mut Node, path: &Path<'_>, problems: &mut Problems) {
        if let Some(build) = service.get_mut("build") {
            if let Some(context) = build.get_mut("context") {
                self.context(context);
            }
            for (name, other) in [("additional_contexts", false), ("ssh", true)] {
                let members = build.get_mut(name).and_then(Node::as_map_mut);
                for (_, member) in members.into_iter().flatten() {
                    if other { self.path(member) } else { self.context(member) }
                }
            }
        }
        for item in list(service, "env_file") {
            self.member(item, "path");
        }
        for item in list(service, "label_file") {
            self.node(item);
        }
        if let Some(extends) = service.get_mut("extends") {
            self.member(extends, "file");
        }
        if let Some(develop) = service.get_mut("develop") {
            for item in list(develop, "watch") {
                self.member(item, "path");
            }
        }
        let path = path.key("volumes");
        for (index, item) in list(service, "volumes").enumerate() {
            if item.text_of("type") == Some("bind") {
                if item.get("source").is_none() {
                    let message = "a mount of type bind needs a source";
                    problems.error(item.mark, &path.item(index), message);
                }
                self.file(item, "source");
            }
        }
    }

    fn member(&self, node: &mut Node, name: &str) {
        if let Some(member) = node.get_mut(name) {
            self.node(member);
        }
    }

    fn node(&self, node: &mut Node) {
        if node.as_text() != Some("") {
            self.path(node);
        }
    }

    /// A member for which the empty text is the base itself.
    fn file(&self, node: &mut Node, name: &str) {
        if let Some(member) = node.get_mut(name) {
            self.path(member);
        }
    }

    fn path(&self, node: &mut Node) {
        if let Value::Text(text) = &mut node.value {
            *text = self.absolute(text);
        }
    }

    /// A build context may also be an address or another service.
    fn context(&self, node: &mut Node) {
        let Some(text) = node.as_text() else { return };
        let remote = ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"];
        if !text.contains("://") && !remote.iter().any(|prefix| text.starts_with(prefix)) {
            self.node(node);
        }
    }

    /// One path.
    pub(crate) fn absolute(&self, text: &str) -> String {
        let expanded = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => clean_path(&format!("{home}/{rest}")),
            _ => text.to_owned(),
        };
        let windows = expanded.starts_with("\\\\")
            || matches!(expanded.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
        if expanded.starts_with('/') || windows {
            return expanded;
        }
        clean_path(&format!("{}/{expanded}", self.directory.display()))
    }
}

fn list<'a>(node: &'a mut Node, name: &str) -> impl Iterator<Item = &'a mut Node> {
    node.get_mut(name).and_then(Node::as_list_mut).into_iter().flatten()
}

/// A directory as seen from another, by text alone. Both are absolute.
pub(crate) fn relative(from: &FilePath, to: &FilePath) -> PathBuf {
    let (from, to) = (clean_path(&from.to_string_lossy()), clean_path(&to.to_string_lossy()));
    let from: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut parts = vec![".."; from.len() - same];
    parts.extend(&to[same..]);
    if parts.is_empty() { PathBuf::from(".") } else { PathBuf::from(parts.join("/")) }
}

/// A path joined to a directory and cleaned, by text alone.
pub(crate) fn join(directory: &FilePath, path: &str) -> PathBuf {
    if path.starts_with('/') {
        return PathBuf::from(clean_path(path));
    }
    PathBuf::from(clean_path(&format!("{}/{path}", directory.display())))
}
