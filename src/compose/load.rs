//! The pipeline, in the order of the reference implementation.
//!
//! For each document of each file: parse, variables, include, forget (`!reset`), extends, merge,
//! unique, check, long forms, unique again. Then defaults, rules between attributes, paths; then
//! what is implied, the last form of each value, profiles, consistency, env files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

use super::canonical::{canonical, defaults};
use super::diagnostic::{Failed, Problems, Sources};
use super::find::{Found, find, normal_name, read_text};
use super::interpolate::{Environment, interpolate};
use super::limits::size;
use super::options::{FileArg, LoadOptions};
use super::paths::{self, Base};
use super::schema::{PROJECT, check::check_object};
use super::support::{Verdict, verdicts};
use super::tree::{Document, Map, Mark, Node, Path, Value, parse};
use super::{merge, normalise, numbers, reset, rules, unique};

/// One file of a project, read.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Where it is; `None` is standard input.
    pub(crate) path: Option<PathBuf>,
    /// Its number among the sources.
    pub(crate) file: u32,
    /// What it says.
    pub(crate) documents: Vec<Document>,
}

/// A project as one canonical document, before the last form of values.
#[derive(Debug)]
pub(crate) struct Model {
    /// The document.
    pub(crate) root: Node,
    /// What orca does with each attribute, before anything implied was added.
    pub(crate) verdicts: Vec<Verdict>,
    /// The project's name.
    pub(crate) name: String,
    /// What was found around it.
    pub(crate) found: Found,
}

/// Everything a load carries along.
#[derive(Debug)]
pub(crate) struct Loader<'a> {
    /// What to do.
    pub(crate) options: &'a LoadOptions,
    /// The files read so far.
    pub(crate) sources: Sources,
    /// What is wrong or noteworthy.
    pub(crate) problems: Problems,
    /// Variables that were told to be unset.
    pub(crate) told: BTreeSet<String>,
    /// Files that services extend from, by path.
    pub(crate) scopes: Vec<super::extends::Scope>,
    /// Where each of them is in `scopes`.
    pub(crate) foreign: HashMap<PathBuf, Option<usize>>,
    /// The variables of the project.
    pub(crate) environment: Environment,
    /// How many files were included so far.
    pub(crate) included: usize,
    /// How many nodes there are so far.
    pub(crate) size: usize,
}

/// Where and with what a set of files is loaded.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The directory of the project or of what is included; absolute.
    pub(crate) directory: PathBuf,
    /// Its variables.
    pub(crate) environment: Rc<Environment>,
    /// The files that include one another, outermost first.
    pub(crate) chain: Vec<PathBuf>,
}

impl<'a> Loader<'a> {
    /// Nothing read yet.
    pub(crate) fn new(options: &'a LoadOptions) -> Self {
        Self {
            options,
            sources: Sources::default(),
            problems: Problems::default(),
            told: BTreeSet::new(),
            scopes: Vec::new(),
            foreign: HashMap::new(),
            environment: Environment::new(),
            included: 0,
            size: 0,
        }
    }

    /// Everything up to what is implied.
    pub(crate) fn model(&mut self) -> Result<Model, Failed> {
        let mut found = find(self.options, &mut self.sources, &mut self.problems)?;
        let files = self.read_files(&found.files)?;
        let name = self.project_name(&files, &found)?;
        found.environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        self.environment.clone_from(&found.environment);
        // With variables left alone, those without a value are left alone too.
        let environment = if self.options.no_interpolate {
            Environment::from([("COMPOSE_PROJECT_NAME".to_owned(), name.clone())])
        } else {
            found.environment.clone()
        };
        let environment = Rc::new(environment);
        let place = Place {
            directory: found.directory.clone(),
            environment: Rc::clone(&environment),
            chain: Vec::new(),
        };
        let base = (!self.options.no_path_resolution).then(|| found.directory.clone());
        let first = files.first().map_or(0, |file| file.file);
        let mut root = self.merged(files, &place, base.as_deref())?;
        if root.as_map().is_none_or(Map::is_empty) {
            let start = Mark { file: first, line: 1, column: 1 };
            self.problems.error(start, &Path::ROOT, "empty compose file");
            return Err(Failed);
        }
        let verdicts = verdicts(&root, &self.sources);
        numbers::warn_of_changed_numbers(&root, &self.sources, &mut self.problems);
        if name.is_empty() {
            self.problems
                .error_nowhere("project name must not be empty")
                .hint("give it one with -p, or with `name:` in the file");
            return Err(Failed);
        }
        if !self.options.no_normalize {
            let mark = root.get("name").map_or(root.mark, |node| node.mark);
            root.set("name", Node::text(name.as_str(), mark));
            normalise::normalise(&mut root, &environment);
        }
        Ok(Model { root, verdicts, name, found })
    }

    fn read_files(&mut self, files: &[FileArg]) -> Result<Vec<SourceFile>, Failed> {
        let mut read = Vec::new();
        for file in files {
            match file {
                FileArg::Stdin(text) => {
                    let number = self.sources.add("-".to_owned(), text.clone());
                    let documents = parse(number, text, &mut self.problems);
                    read.push(SourceFile { path: None, file: number, documents });
                }
                FileArg::Path(path) => read.extend(self.read_file(path, None)),
            }
        }
        self.problems.check()?;
        Ok(read)
    }

    /// Reads and parses one file; what is wrong is told at `from`, where it is named.
    pub(crate) fn read_file(
        &mut self,
        path: &FilePath,
        from: Option<(Mark, &Path<'_>)>,
    ) -> Option<SourceFile> {
        let (file, text) =
            read_text(path, "compose file", &mut self.sources, &mut self.problems, from)?;
        let documents = parse(file, &text, &mut self.problems);
        Some(SourceFile { path: Some(path.to_path_buf()), file, documents })
    }

    /// `-p`, `COMPOSE_PROJECT_NAME`, the last `name:`, the directory's name.
    fn project_name(&mut self, files: &[SourceFile], found: &Found) -> Result<String, Failed> {
        let from_environment = found.environment.get("COMPOSE_PROJECT_NAME");
        let given = self.options.project_name.as_ref().or(from_environment);
        if let Some(name) = given.filter(|name| !name.is_empty()) {
            if normal_name(name) != *name {
                let message = format!("invalid project name {name:?}");
                self.problems
                    .error_nowhere(message)
                    .hint("use only a-z, 0-9, `-` and `_`, and begin with a letter or a digit");
                return Err(Failed);
            }
            return Ok(name.clone());
        }
        let documents = files.iter().flat_map(|file| &file.documents);
        let named = documents.filter_map(|document| document.root.get("name"));
        let mut named = named.filter_map(|node| Some((node, node.scalar_text()?)));
        if let Some((node, name)) = named.rfind(|(_, name)| !name.is_empty()) {
            let mut node = node.with(Value::Text(name));
            if !self.options.no_interpolate {
                interpolate(&mut node, &found.environment, &mut self.told, &mut self.problems);
                self.problems.check()?;
            }
            let name = node.as_text().unwrap_or_default();
            return Ok(if self.options.no_normalize { name.to_owned() } else { normal_name(name) });
        }
        let directory = found.directory.file_name().unwrap_or_default().to_string_lossy();
        Ok(normal_name(&directory))
    }

    /// A set of files as one canonical document. Paths in it are seen from `base`.
    pub(crate) fn merged(
        &mut self,
        files: Vec<SourceFile>,
        place: &Place,
        base: Option<&FilePath>,
    ) -> Result<Node, Failed> {
        let mut root = Node::empty_map(Mark::file(files.first().map_or(0, |file| file.file)));
        let mut chain = place.chain.clone();
        for file in files {
            chain.extend(file.path.clone());
            let place = Place { chain: chain.clone(), ..place.clone() };
            for document in file.documents {
                let start = Mark { file: file.file, line: 1, column: 1 };
                self.grow(size(&document.root), start, &Path::ROOT)?;
                root = self.document(root, document, file.path.as_deref(), &place)?;
            }
        }
        defaults(&mut root);
        rules::check(&root, &mut self.problems);
        if let Some(base) = base {
            let home = self.options.environment.get("HOME").map(String::as_str);
            let base = Base { directory: base, home };
            paths::resolve(&mut root, &base, &mut self.problems);
        }
        self.problems.check()?;
        resolve_environment(&mut root, &place.environment);
        Ok(root)
    }

    /// One document over what came before.
    fn document(
        &mut self,
        before: Node,
        document: Document,
        file: Option<&FilePath>,
        place: &Place,
    ) -> Result<Node, Failed> {
        let Document { root: mut over, resets } = document;
        let mut before = before;
        if over.as_map().is_none() {
            let message = format!("the top level must be a mapping, not {}", over.kind());
            self.problems.error(over.mark, &Path::ROOT, message);
            return Err(Failed);
        }
        if !self.options.no_interpolate {
            interpolate(&mut over, &place.environment, &mut self.told, &mut self.problems);
            self.problems.check()?;
        }
        self.include(&mut over, place, &resets)?;
        reset::forget(&mut before, &resets);
        let extended_from = file.map_or_else(|| place.directory.join("-"), FilePath::to_path_buf);
        self.extend(&mut over, &extended_from, place, &resets)?;
        let mut root = merge::merge(before, over, &Path::ROOT, &mut self.problems);
        self.problems.check()?;
        unique::unique(&mut root);
        check_object(&PROJECT, &root, &Path::ROOT, &mut self.problems);
        if let Err(failed) = self.problems.check() {
            // All that is wrong is told at once: also what short forms say.
            let mut more = Problems::default();
            canonical(&mut root, self.options.no_interpolate, &mut more);
            self.problems.add_elsewhere(more);
            return Err(failed);
        }
        if let Some(version) = root.as_map_mut().and_then(|map| map.remove("version")) {
            let path = Path::ROOT;
            let message = "the attribute `version` is obsolete and ignored; remove it";
            self.problems.warning(version.key, &path.key("version"), message);
        }
        canonical(&mut root, self.options.no_interpolate, &mut self.problems);
        self.problems.check()?;
        unique::unique(&mut root);
        Ok(root)
    }
}

/// The member under which the value of a secret's or config's `environment` is kept.
pub(crate) const VALUE: &str = "x-#value";

/// Gives list items without a value, secrets and configs their values from the variables.
fn resolve_environment(root: &mut Node, environment: &Environment) {
    for (_, service) in root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        let lines = service.get_mut("environment").and_then(Node::as_list_mut);
        for line in lines.into_iter().flatten() {
            if let Value::Text(text) = &mut line.value
                && let Some(value) = environment.get(text.as_str())
            {
                *text = format!("{text}={value}");
            }
        }
    }
    for kind in ["secrets", "configs"] {
        for (_, resource) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten() {
            let Some(name) = resource.text_of("environment") else { continue };
            if let Some(value) = environment.get(name) {
                let mark = resource.mark;
                resource.set(VALUE, Node::text(value.as_str(), mark));
            }
        }
    }
}

/// Members by name, of a mapping that may be missing.
pub(crate) fn members<'a>(
    root: &'a Node,
    kind: &str,
) -> impl Iterator<Item = (&'a String, &'a Node)> {
    static EMPTY: BTreeMap<String, Node> = BTreeMap::new();
    root.get(kind).and_then(Node::as_map).unwrap_or(&EMPTY).iter()
}
