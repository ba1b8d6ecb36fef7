//! The order of the rooms in `docs/architecture.md`, checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::support::repository;

/// For each room of `src/`, the rooms it may name. The lowest first.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &["model"]),
    ("compose", &["model"]),
    ("copy", &[]),
    ("plan", &["model"]),
    ("image", &["model", "sys"]),
    ("runtime", &["model", "sys"]),
    ("network", &["model", "sys"]),
    ("volume", &["model", "sys"]),
    ("dns", &["model", "sys"]),
    ("netd", &["dns", "model", "sys"]),
    ("store", &["model", "sys"]),
    ("demo", &[]),
    (
        "engine",
        &["copy", "image", "runtime", "network", "volume", "netd", "store", "plan", "model", "sys"],
    ),
    ("api", &["model", "plan", "store", "engine"]),
    (
        "daemon",
        &[
            "api", "copy", "engine", "image", "runtime", "network", "volume", "netd", "dns",
            "store", "plan", "model", "sys",
        ],
    ),
    (
        "cli",
        &["model", "compose", "copy", "api", "daemon", "demo", "netd", "runtime", "engine", "sys"],
    ),
];

#[test]
fn rooms_use_only_the_rooms_below() {
    let src = repository().join("src");
    let mut found = Vec::new();
    for (room, may_use) in MAY_USE {
        for file in rust_files(&src.join(room)) {
            let text = std::fs::read_to_string(&file).unwrap();
            for used in rooms_named_in(&text) {
                if used != *room && !may_use.contains(&used.as_str()) {
                    found.push(format!("{}: {room} may not use {used}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_room_is_in_the_list() {
    for entry in std::fs::read_dir(repository().join("src")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(
                MAY_USE.iter().any(|(room, _)| *room == name),
                "{name} has no place in the order"
            );
        }
    }
}

#[test]
fn only_sys_has_unsafe_code() {
    let src = repository().join("src");
    for file in rust_files(&src) {
        if file.starts_with(src.join("sys")) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = without_texts(line.split("//").next().unwrap());
            let names_it =
                code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            assert!(!names_it, "{}:{}: unsafe outside sys", file.display(), number + 1);
        }
    }
}

/// A line without what stands between quotation marks.
fn without_texts(line: &str) -> String {
    line.split('"').step_by(2).collect()
}

/// The rooms that `source` names, as `crate::x` or in `crate::{x, y::z}`.
fn rooms_named_in(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut named = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => named.extend(leading_name(rest)),
            Some(group) => named.extend(names_in_group(group)),
        }
    }
    named.retain(|name| MAY_USE.iter().any(|(room, _)| room == name));
    named
}

fn names_in_group(group: &str) -> Vec<String> {
    let mut named = Vec::new();
    let mut depth = 0;
    let mut at_start = true;
    for (i, c) in group.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                named.extend(leading_name(&group[i..]));
                at_start = false;
            }
            _ => {}
        }
    }
    named
}

fn leading_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![] };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_check_sees_every_form_of_use() {
    let named = |source: &str| rooms_named_in(source).into_iter().collect::<Vec<_>>().join(",");
    assert_eq!(named("use crate::plan::Plan;"), "plan");
    assert_eq!(
        named("use crate::{\n    model::{Id, Name},\n    engine::Engine,\n};"),
        "engine,model"
    );
    assert_eq!(named("fn f() { crate::engine::go() }"), "engine");
    assert_eq!(named("/// See [`crate::engine`].\nuse std::fs;"), "");
}
