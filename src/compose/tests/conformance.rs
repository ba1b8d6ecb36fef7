//! Every case under `tests/compose-conformance` gives what docker compose 2.40.3 gave, byte for byte,
//! or what the case says orca gives instead, with the reason.
//!
//! A case that differs on purpose has a file `why` and, unless it is an error here, `orca.json` (or
//! `.yaml`, `.txt`) beside the golden. Set `ORCA_WRITE_CASES=1` to write those files anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compose::{FileArg, LoadOptions, config};

/// What a case gives: the kind of its golden, and the text.
type Outcome = Result<(&'static str, String), String>;

struct Case {
    directory: PathBuf,
    name: String,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose-conformance");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        paths.sort();
        paths
    };
    let directories = folders(&root).into_iter().flat_map(|area| folders(&area));
    directories.map(|directory| read_case(&root, directory)).collect()
}

fn read_case(root: &Path, directory: PathBuf) -> Case {
    let name = directory.strip_prefix(root).unwrap().display().to_string();
    let mut environment = BTreeMap::from([
        ("HOME".to_owned(), "/home/u".to_owned()),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
    ]);
    let mut arguments = "-p test --profile * config --format json".to_owned();
    let command = std::fs::read_to_string(directory.join("cmd")).unwrap_or_default();
    for line in command.lines() {
        if let Some((key, value)) = line.strip_prefix("env ").and_then(|line| line.split_once('='))
        {
            environment.insert(key.to_owned(), value.to_owned());
        } else if let Some(line) = line.strip_prefix("args ") {
            line.clone_into(&mut arguments);
        }
    }
    let arguments = arguments.split_whitespace().map(str::to_owned).collect();
    Case { directory, name, environment, arguments }
}

fn run(case: &Case) -> Outcome {
    let mut options = LoadOptions {
        working_directory: case.directory.clone(),
        environment: case.environment.clone(),
        ..LoadOptions::default()
    };
    let (mut show, mut format) = (String::new(), "yaml".to_owned());
    let mut words = case.arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap().clone();
        match word.as_str() {
            "-p" => options.project_name = Some(value()),
            "-f" => options.files.push(FileArg::Path(value().into())),
            "--profile" => options.profiles.push(value()),
            "--env-file" => options.env_files.push(value().into()),
            "--project-directory" => options.project_directory = Some(value().into()),
            "--format" => format = value(),
            "--no-interpolate" => options.no_interpolate = true,
            "--no-normalize" => options.no_normalize = true,
            "--no-path-resolution" => options.no_path_resolution = true,
            "--all-resources" => options.all_resources = true,
            "--no-consistency" => options.no_consistency = true,
            "config" => {}
            "-q" | "--profiles" | "--services" | "--images" | "--volumes" | "--networks"
            | "--variables" => show.clone_from(word),
            "--hash" => {
                show.clone_from(word);
                value();
                options.no_env_resolution = true;
            }
            word if word.starts_with('-') => panic!("{}: unknown option {word}", case.name),
            name => options.services.push(name.to_owned()),
        }
    }
    if show == "--variables" {
        options.no_interpolate = true;
    }
    let config = config(&options).map_err(|errors| errors.to_string())?;
    let lines = |list: Vec<String>| list.into_iter().map(|line| line + "\n").collect();
    let text = match show.as_str() {
        "" if format == "json" => return Ok(("json", config.json())),
        "" => return Ok(("yaml", config.yaml())),
        "-q" => String::new(),
        "--profiles" => lines(config.profiles()),
        "--services" => lines(config.services()),
        "--images" => lines(config.images()),
        "--volumes" => lines(config.volumes()),
        "--networks" => lines(config.networks()),
        "--hash" => lines(
            config.hashes().into_iter().map(|(name, hash)| format!("{name} {hash}")).collect(),
        ),
        _ if format == "json" => return Ok(("json", config.variables_json())),
        _ => config.variables_yaml(),
    };
    Ok(("txt", text))
}

fn check(case: &Case) -> Result<(), String> {
    let here = case.directory.display().to_string();
    let outcome = run(case)
        .map(|(kind, text)| (kind, text.replace(&here, "/prj")))
        .map_err(|text| text.replace(&here, "/prj"));
    let expected = |name: String| std::fs::read_to_string(case.directory.join(name)).ok();
    let write = std::env::var_os("ORCA_WRITE_CASES").is_some();
    if expected("why".to_owned()).is_some() {
        let (kind, text) = match outcome {
            Ok((kind, text)) => (kind, text),
            Err(text) => ("err", text),
        };
        if write {
            std::fs::write(case.directory.join(format!("orca.{kind}")), &text).unwrap();
        }
        let same_as_golden = expected(format!("golden.{kind}"))
            .is_some_and(|golden| kind == "err" || golden == text);
        return match expected(format!("orca.{kind}")) {
            _ if same_as_golden => Err("there is a `why`, but no difference".to_owned()),
            Some(orca) if orca == text => Ok(()),
            Some(orca) => Err(difference(&orca, &text)),
            None => Err(format!("there is no orca.{kind}:\n{text}")),
        };
    }
    match (outcome, expected("golden.err".to_owned())) {
        (Ok((_, text)), Some(error)) => {
            Err(format!("accepted, but docker compose says: {error}{text}"))
        }
        (Ok((kind, text)), None) => match expected(format!("golden.{kind}")) {
            Some(golden) if golden == text => Ok(()),
            Some(golden) => Err(difference(&golden, &text)),
            None => Err(format!("there is no golden.{kind}")),
        },
        (Err(_), Some(_)) => Ok(()),
        (Err(error), None) => Err(format!("refused: {error}")),
    }
}

/// The first line that differs.
fn difference(expected: &str, found: &str) -> String {
    let (mut a, mut b) = (expected.lines(), found.lines());
    let mut number = 1;
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => number += 1,
            (a, b) => {
                return format!("line {number}: expected {a:?}, found {b:?}");
            }
        }
    }
}

#[test]
fn every_case_gives_what_docker_compose_gives_or_says_why_not() {
    let cases = cases();
    assert!(cases.len() > 400, "only {} cases found", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|error| format!("{}: {error}", case.name)))
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
