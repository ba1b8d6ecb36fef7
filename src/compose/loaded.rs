//! What comes out of a load.

use super::config::{Config, build};
use super::decode::decode;
use super::diagnostic::{Diagnostic, Errors, Failed};
use super::load::Loader;
use super::options::{FileArg, LoadOptions};
use super::support::Verdict;
use crate::model::Project;

/// A project, loaded and checked.
#[derive(Debug)]
pub struct Loaded {
    /// What is to run.
    pub project: Project,
    /// Noteworthy things, with their places.
    pub warnings: Vec<Diagnostic>,
    /// What would mean something else here than it says: `up` must not go on with any of these.
    pub refusals: Vec<Diagnostic>,
    /// What orca does with each attribute that the files use.
    pub verdicts: Vec<Verdict>,
    /// The same as a document.
    pub config: Config,
}

/// Loads a project. All that is wrong comes back at once.
///
/// The options that leave something out of the document (`no_interpolate` and the like) are for
/// [`config`](super::config()): here they are an error of the caller and are passed over.
pub fn load(options: &LoadOptions) -> Result<Loaded, Errors> {
    let options = LoadOptions {
        no_interpolate: false,
        no_normalize: false,
        no_path_resolution: false,
        no_env_resolution: false,
        no_consistency: false,
        ..options.clone()
    };
    let mut loader = Loader::new(&options);
    let loaded = run(&mut loader);
    loader.result(loaded).map(|(mut loaded, warnings)| {
        loaded.warnings = once_for_each_path(warnings);
        loaded
    })
}

fn run(loader: &mut Loader<'_>) -> Result<Loaded, Failed> {
    let mut config = build(loader)?;
    let path = |file: &FileArg| match file {
        FileArg::Path(path) => Some(path.clone()),
        FileArg::Stdin(_) => None,
    };
    let base = Project {
        name: config.name.clone(),
        directory: config.found.directory.clone(),
        files: config.found.files.iter().filter_map(path).collect(),
        ..Project::default()
    };
    let (project, refusals) = decode(&config.root, base, loader)?;
    let verdicts = std::mem::take(&mut config.verdicts);
    let refusals = once_for_each_path(refusals);
    Ok(Loaded { project, warnings: Vec::new(), refusals, verdicts, config })
}

/// What is said of an attribute, said once: the reader of its value and the list of what orca does not do
/// may both have a word.
fn once_for_each_path(said: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut paths = std::collections::BTreeSet::new();
    said.into_iter()
        .filter(|said| said.path.is_empty() || paths.insert(said.path.clone()))
        .collect()
}
