//! Which files make a project, which variables they may use, and what the project is called.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use super::diagnostic::{Failed, Problems, Sources};
use super::dotenv;
use super::interpolate::Environment;
use super::options::{FileArg, LoadOptions};
use super::paths::join;
use super::tree::{MAX_FILE, Mark, Path};

const NAMES: &[&str] =
    &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: &[&str] = &[
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The compose files; paths are absolute.
    pub(crate) files: Vec<FileArg>,
    /// The directory from which relative paths are seen; absolute.
    pub(crate) directory: PathBuf,
    /// The variables.
    pub(crate) environment: Environment,
    /// The profiles that are on.
    pub(crate) profiles: Vec<String>,
}

/// Looks for everything.
pub(crate) fn find(
    options: &LoadOptions,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Result<Found, Failed> {
    let here = &options.working_directory;
    let mut search = Search { options, sources, problems };
    let mut environment = options.environment.clone();
    environment.entry("PWD".to_owned()).or_insert_with(|| here.display().to_string());
    let mut files: Vec<FileArg> = options.files.iter().map(|file| absolute(here, file)).collect();
    // Twice, as docker compose does: a `.env` here may say which files to use, and those may stand
    // in another directory with a `.env` of its own.
    search.env_files(&files, &mut environment)?;
    if files.is_empty() {
        files = search.files_of_environment(&environment)?;
    }
    if files.is_empty() {
        files = search.default_files()?;
    }
    search.env_files(&files, &mut environment)?;
    let directory = search.directory(&files);
    let profiles = search.profiles(&environment);
    Ok(Found { files, directory, environment, profiles })
}

fn absolute(here: &FilePath, file: &FileArg) -> FileArg {
    match file {
        FileArg::Path(path) => FileArg::Path(join(here, &path.to_string_lossy())),
        FileArg::Stdin(text) => FileArg::Stdin(text.clone()),
    }
}

struct Search<'a> {
    options: &'a LoadOptions,
    sources: &'a mut Sources,
    problems: &'a mut Problems,
}

impl Search<'_> {
    fn directory(&self, files: &[FileArg]) -> PathBuf {
        let here = &self.options.working_directory;
        if let Some(directory) = &self.options.project_directory {
            return join(here, &directory.to_string_lossy());
        }
        files
            .iter()
            .find_map(|file| match file {
                FileArg::Path(path) => path.parent().map(FilePath::to_path_buf),
                FileArg::Stdin(_) => None,
            })
            .unwrap_or_else(|| here.clone())
    }

    fn env_files(
        &mut self,
        files: &[FileArg],
        environment: &mut Environment,
    ) -> Result<(), Failed> {
        let options = self.options;
        let here = &options.working_directory;
        let mut paths: Vec<PathBuf> =
            options.env_files.iter().map(|path| join(here, &path.to_string_lossy())).collect();
        if let Some(list) = options.environment.get("COMPOSE_ENV_FILES")
            && paths.is_empty()
        {
            paths.extend(
                list.split(',').filter(|name| !name.is_empty()).map(|name| join(here, name)),
            );
        }
        if paths.is_empty() {
            if self.is_set("COMPOSE_DISABLE_ENV_FILE") {
                return Ok(());
            }
            let path = self.directory(files).join(".env");
            if !path.is_file() {
                return Ok(());
            }
            paths.push(path);
        }
        let read = read_env_files(&paths, environment, self.sources, self.problems)?;
        for (key, value) in read {
            environment.entry(key).or_insert(value);
        }
        Ok(())
    }

    fn is_set(&self, name: &str) -> bool {
        let value = self.options.environment.get(name).map(String::as_str);
        matches!(value, Some("1" | "t" | "T" | "true" | "True" | "TRUE"))
    }

    fn files_of_environment(&mut self, environment: &Environment) -> Result<Vec<FileArg>, Failed> {
        let Some(list) = environment.get("COMPOSE_FILE") else { return Ok(Vec::new()) };
        let separator = environment
            .get("COMPOSE_PATH_SEPARATOR")
            .filter(|separator| !separator.is_empty())
            .map_or(":", String::as_str);
        let mut files = Vec::new();
        for name in list.split(separator) {
            let path = join(&self.options.working_directory, name);
            if !path.exists() {
                let message = format!("cannot find {}, which COMPOSE_FILE names", path.display());
                self.problems.error_nowhere(message);
            }
            files.push(FileArg::Path(path));
        }
        self.problems.check()?;
        Ok(files)
    }

    fn default_files(&mut self) -> Result<Vec<FileArg>, Failed> {
        let start = self.directory(&[]);
        for directory in start.ancestors() {
            let found = existing(directory, NAMES);
            let Some(first) = found.first() else { continue };
            let mut files = vec![FileArg::Path(first.clone())];
            self.warn_of_several(&found, "compose");
            let overrides = existing(directory, OVERRIDES);
            self.warn_of_several(&overrides, "override");
            files.extend(overrides.first().cloned().map(FileArg::Path));
            return Ok(files);
        }
        let message = format!("no compose file in {} or above it", start.display());
        self.problems
            .error_nowhere(message)
            .hint(format!("name one with -f, or call it {}", NAMES.join(", ")));
        Err(Failed)
    }

    fn warn_of_several(&mut self, found: &[PathBuf], what: &str) {
        if let [first, _, ..] = found {
            let all: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            let message = format!(
                "found several {what} files: {}; using {}",
                all.join(", "),
                first.display()
            );
            self.problems.warning_nowhere(message);
        }
    }

    fn profiles(&self, environment: &Environment) -> Vec<String> {
        if !self.options.profiles.is_empty() {
            return self.options.profiles.clone();
        }
        let list = environment.get("COMPOSE_PROFILES").map_or("", String::as_str);
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

fn existing(directory: &FilePath, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| directory.join(name)).filter(|path| path.exists()).collect()
}

/// Reads env files, each over the one before. `outer` comes first when a value names a variable.
pub(crate) fn read_env_files(
    paths: &[PathBuf],
    outer: &Environment,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Result<Environment, Failed> {
    let mut variables = BTreeMap::new();
    for path in paths {
        let Some((file, text)) = read_text(path, "env file", sources, problems, None) else {
            continue;
        };
        let lookup = |name: &str| outer.get(name).cloned();
        if let Err(error) = dotenv::parse(&text, &lookup, &mut variables) {
            let mark = Mark { file, line: error.line, column: 1 };
            problems.error(mark, &Path::ROOT, error.message);
        }
    }
    problems.check()?;
    Ok(variables)
}

/// Reads a whole text file; what is wrong with it is told at `from`, where it is named.
pub(crate) fn read_text(
    path: &FilePath,
    what: &str,
    sources: &mut Sources,
    problems: &mut Problems,
    from: Option<(Mark, &Path<'_>)>,
) -> Option<(u32, String)> {
    let name = path.display().to_string();
    let message = match read_limited(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => format!("{what} {name} is not a text file"),
            Ok(text) => return Some((sources.add(name, text.clone()), text)),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line =
                    error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
                format!("{what} {name} is not valid UTF-8 (line {line})")
            }
        },
        Err(error) => format!("cannot read {what} {name}: {error}"),
    };
    match from {
        Some((mark, path)) => problems.error(mark, path, message),
        None => problems.error_nowhere(message),
    };
    None
}

fn read_limited(path: &FilePath) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::other("it is a directory"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(bytes)
}

/// What a name of a project is made of: `[a-z0-9][a-z0-9_-]*`; everything else is left out.
pub(crate) fn normal_name(name: &str) -> String {
    let name: String = name
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    name.trim_start_matches(['_', '-']).to_owned()
}
