// What the fuzzer and the test that replays its corpus run: an input as a set of compose files.

use std::collections::BTreeMap;
use std::path::Path;

use orca::compose::{Config, FileArg, LoadOptions, config, load};

/// Stands alone on a line between two compose files; with a name after it what follows is a file
/// of that name, for `include`, `extends` and `env_file`.
const MARK: &str = "%%%";

/// Reads an input in every way that orca reads files. Text is all that it is: whatever is not UTF-8
/// is refused before it comes this far.
pub(crate) fn compose(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (files, named) = parts(text);
    // Only inputs with files of their own need a directory.
    let directory = (!named.is_empty()).then(|| tempfile::tempdir().expect("a directory"));
    let here = directory.as_ref().map_or(Path::new("/nowhere"), |directory| directory.path());
    for (name, content) in &named {
        std::fs::write(here.join(name), content).expect("a file");
    }
    let options = LoadOptions {
        files: files.into_iter().map(|text| FileArg::Stdin(text.to_owned())).collect(),
        project_name: Some("fuzz".to_owned()),
        profiles: vec!["*".to_owned()],
        working_directory: here.to_path_buf(),
        environment: BTreeMap::from([("SET".to_owned(), "a value".to_owned())]),
        ..LoadOptions::default()
    };
    if let Err(errors) = load(&options) {
        assert!(!errors.0.is_empty(), "refused without a reason");
        drop(errors.to_string());
    }
    for no_interpolate in [false, true] {
        let options = LoadOptions { no_interpolate, ..options.clone() };
        if let Ok(config) = config(&options) {
            show(&config);
        }
    }
    let bare = LoadOptions {
        no_normalize: true,
        no_path_resolution: true,
        no_env_resolution: true,
        no_consistency: true,
        ..options
    };
    drop(config(&bare).map(|config| show(&config)));
}

fn show(config: &Config) {
    drop((config.json(), config.yaml(), config.hashes(), config.variables_yaml()));
    drop((config.services(), config.images(), config.profiles(), config.models()));
}

fn parts(text: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
    let (mut files, mut named) = (Vec::new(), Vec::new());
    let mut name = "";
    let mut rest = text;
    while let Some((part, next)) = next_mark(rest) {
        keep(name, part, &mut files, &mut named);
        let (line, after) = next.split_once('\n').unwrap_or((next, ""));
        (name, rest) = (line.trim(), after);
    }
    keep(name, rest, &mut files, &mut named);
    (files, named)
}

/// What stands before the next mark, and what follows it on its line and after.
fn next_mark(text: &str) -> Option<(&str, &str)> {
    if let Some(after) = text.strip_prefix(MARK) {
        return Some(("", after));
    }
    let at = text.find("\n%%%")?;
    Some((&text[..=at], &text[at + 1 + MARK.len()..]))
}

fn keep<'a>(
    name: &'a str,
    part: &'a str,
    files: &mut Vec<&'a str>,
    named: &mut Vec<(&'a str, &'a str)>,
) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() {
        files.push(part);
    } else if name.len() < 20
        && name.chars().all(is_plain)
        && !name.starts_with("..")
        && name != "."
    {
        named.push((name, part));
    }
}
