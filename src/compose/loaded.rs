//! What comes out of a load.

use std::collections::BTreeMap;

use super::decode::decode;
use super::diagnostic::{Diagnostic, Errors, Failed, Severity};
use super::finish::finish;
use super::load::{Loader, Model};
use super::options::{FileArg, LoadOptions};
use super::tree::{Map, Node};
use super::{consistency, select};
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
    /// The variables that the files could use.
    pub environment: BTreeMap<String, String>,
    /// The canonical document.
    pub(crate) document: Node,
    /// Services whose profiles are off, or that were not selected.
    pub(crate) off: Map,
    /// The document as written, merged.
    pub(crate) written: Node,
}

/// Loads a project. All that is wrong comes back at once.
pub fn load(options: &LoadOptions) -> Result<Loaded, Errors> {
    let mut loader = Loader::new(options);
    match run(&mut loader) {
        Ok(mut loaded) => {
            loaded.warnings = loader.problems.diagnostics(Severity::Warning, &loader.sources);
            Ok(loaded)
        }
        Err(Failed) => Err(Errors(loader.problems.diagnostics(Severity::Error, &loader.sources))),
    }
}

fn run(loader: &mut Loader<'_>) -> Result<Loaded, Failed> {
    let Model { mut root, written, name, found } = loader.model()?;
    if let Some(map) = root.as_map_mut() {
        map.remove("name");
    }
    finish(&mut root, &mut loader.problems);
    loader.problems.check()?;
    let mut off = select::apply_profiles(&mut root, &found.profiles);
    if !loader.options.no_consistency {
        consistency::check(&root, &off, &mut loader.problems);
        loader.problems.check()?;
    }
    let services = &loader.options.services;
    select::select(&mut root, &mut off, services, &found.profiles, &mut loader.problems)?;
    if !loader.options.no_env_resolution {
        loader.resolve_env_files(&mut root);
    }
    loader.resolve_label_files(&mut root);
    loader.problems.check()?;
    select::drop_unused(&mut root);
    let files = found
        .files
        .iter()
        .filter_map(|file| match file {
            FileArg::Path(path) => Some(path.clone()),
            FileArg::Stdin(_) => None,
        })
        .collect();
    let base = Project {
        name: name.clone(),
        directory: found.directory.clone(),
        files,
        ..Project::default()
    };
    let (project, refusals) = decode(&root, base, loader)?;
    if let Some(map) = root.as_map_mut() {
        map.insert("name".to_owned(), Node::text(name, super::tree::Mark::default()));
    }
    Ok(Loaded {
        project,
        warnings: Vec::new(),
        refusals,
        environment: found.environment,
        document: root,
        off,
        written,
    })
}
