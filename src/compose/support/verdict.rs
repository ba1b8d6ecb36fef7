//! What orca does with the attributes that a project uses.

use serde::Serialize;

use super::{Entry, Support, deploy_table, service_table, top_table};
use crate::compose::diagnostic::{Place, Problems, Sources};
use crate::compose::load::members;
use crate::compose::tree::{Mark, Node, Path, Value};

/// What orca does with one attribute of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Where it is written.
    pub place: Option<Place>,
    /// The attribute, such as `services.web.ports`.
    pub path: String,
    /// What orca does with it.
    pub support: Support,
    /// What to know about it; may be empty.
    pub note: String,
}

/// The verdict on every attribute of a document, in the order of the files.
pub(crate) fn verdicts(written: &Node, sources: &Sources) -> Vec<Verdict> {
    let mut found: Vec<(Mark, String, &Entry)> = Vec::new();
    visit(written, &mut |node, path, entry| found.push((node.key, path.to_string(), entry)));
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    found
        .into_iter()
        .map(|(mark, path, entry)| Verdict {
            place: sources.bare_place(mark),
            path,
            support: entry.support,
            note: entry.note.to_owned(),
        })
        .collect()
}

/// Tells what the table refuses, ignores or has planned.
pub(crate) fn refuse_and_warn(root: &Node, refused: &mut Problems, problems: &mut Problems) {
    visit(root, &mut |node, path, entry| {
        let note = entry.note;
        match entry.support {
            Support::Refused => {
                refused.error(node.key, path, format!("not supported: {note}"));
            }
            Support::Planned => {
                problems.warning(node.key, path, format!("planned, and not looked at yet: {note}"));
            }
            Support::Ignored if !says_nothing(node, path) => {
                problems.warning(node.key, path, format!("ignored: {note}"));
            }
            Support::Full | Support::Part | Support::NoEffect | Support::Ignored => {}
        }
    });
}

/// A value that asks for what orca does anyway.
fn says_nothing(node: &Node, path: &Path<'_>) -> bool {
    let text = node.as_text().unwrap_or_default();
    let own_runtime = path.matches(&["services", "*", "runtime"])
        && matches!(text, "runc" | "crun" | "io.containerd.runc.v2");
    own_runtime || (path.matches(&["services", "*", "isolation"]) && text == "default")
}

type Visitor<'a> = dyn FnMut(&Node, &Path<'_>, &'static Entry) + 'a;

fn visit(root: &Node, each: &mut Visitor<'_>) {
    let top = Path::ROOT;
    for (key, node) in root.as_map().into_iter().flatten() {
        if let Some(entry) = find(top_table(), key) {
            // `external: false` asks for nothing.
            each(node, &top.key(key), entry);
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let path = top.key(kind);
        for (name, resource) in members(root, kind) {
            let path = path.key(name);
            for (key, node) in resource.as_map().into_iter().flatten() {
                let is_off = key == "external" && matches!(node.value, Value::Bool(false));
                let entry = find(top_table(), &format!("{kind}.*.{key}")).filter(|_| !is_off);
                if let Some(entry) = entry {
                    each(node, &path.key(key), entry);
                }
            }
        }
    }
    let services = top.key("services");
    for (name, service) in members(root, "services") {
        let path = services.key(name);
        for (key, node) in service.as_map().into_iter().flatten() {
            let path = path.key(key);
            if let Some(entry) = find(service_table(), key) {
                if !is_off(node) {
                    each(node, &path, entry);
                }
                if key == "deploy" {
                    visit_deploy(node, &path, "", each);
                }
            }
        }
    }
}

/// `use_api_socket: false` asks for nothing.
fn is_off(node: &Node) -> bool {
    match &node.value {
        Value::Null | Value::Bool(false) => true,
        Value::List(list) => list.is_empty(),
        _ => false,
    }
}

fn visit_deploy(node: &Node, path: &Path<'_>, prefix: &str, each: &mut Visitor<'_>) {
    for (key, node) in node.as_map().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        let path = path.key(key);
        if let Some(entry) = find(deploy_table(), &name) {
            each(node, &path, entry);
        }
        if matches!(name.as_str(), "resources" | "resources.reservations" | "resources.limits") {
            visit_deploy(node, &path, &format!("{name}."), each);
        }
    }
}

fn find(table: &'static [Entry], name: &str) -> Option<&'static Entry> {
    table.iter().find(|entry| entry.name == name)
}
