//! `include`: other projects, each with a directory and variables of its own.

use std::path::PathBuf;
use std::rc::Rc;

use super::diagnostic::Failed;
use super::find::read_env_files;
use super::load::{Loader, Place};
use super::paths::{join, relative};
use super::reset;
use super::tree::{Map, Node, Path, Value};
use super::{interpolate::Environment, merge};

/// The most files that may be included, with all that they include.
const MAX_INCLUDED: usize = 1000;
/// The deepest chain of files that include one another.
const MAX_DEPTH: usize = 50;

/// One entry of the list.
#[derive(Debug)]
struct Entry {
    paths: Vec<PathBuf>,
    directory: PathBuf,
    env_files: Option<Vec<PathBuf>>,
}

impl Loader<'_> {
    /// Brings what a document includes into it.
    pub(crate) fn include(
        &mut self,
        document: &mut Node,
        place: &Place,
        resets: &[Vec<String>],
    ) -> Result<(), Failed> {
        let Some(list) = document.as_map_mut().and_then(|map| map.remove("include")) else {
            return Ok(());
        };
        let root = Path::ROOT;
        let path = root.key("include");
        let Value::List(entries) = &list.value else {
            if !list.is_null() {
                let message = format!("must be a list, not {}", list.kind());
                self.problems.error(list.mark, &path, message);
            }
            return self.problems.check();
        };
        for (index, node) in entries.iter().enumerate() {
            let path = path.item(index);
            let entry = self.entry(node, &path, place)?;
            let imported = self.included(node, &entry, &path, place)?;
            self.import(imported, document, resets);
            self.problems.check()?;
        }
        Ok(())
    }

    fn entry(&mut self, node: &Node, path: &Path<'_>, place: &Place) -> Result<Entry, Failed> {
        super::schema::check::check(super::schema::INCLUDE_SHAPE, node, path, &mut self.problems);
        self.problems.check()?;
        let texts = |node: &Node| -> Vec<String> {
            match &node.value {
                Value::List(list) => {
                    list.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
                }
                _ => node.as_text().map(str::to_owned).into_iter().collect(),
            }
        };
        let names = match &node.value {
            Value::Text(name) => vec![name.clone()],
            _ => node.get("path").map(texts).unwrap_or_default(),
        };
        let paths: Vec<PathBuf> = names.iter().map(|name| join(&place.directory, name)).collect();
        let Some(first) = paths.first() else {
            self.problems.error(node.mark, path, "path is missing");
            return Err(Failed);
        };
        let directory = match node.text_of("project_directory") {
            Some(directory) => join(&place.directory, directory),
            None => first.parent().map(std::path::Path::to_path_buf).unwrap_or_default(),
        };
        let env_files = node.get("env_file").map(|node| {
            let names = texts(node);
            names.iter().map(|name| join(&place.directory, name)).collect()
        });
        Ok(Entry { paths, directory, env_files })
    }

    fn included(
        &mut self,
        node: &Node,
        entry: &Entry,
        path: &Path<'_>,
        place: &Place,
    ) -> Result<Node, Failed> {
        if let Some(known) = entry.paths.iter().find(|path| place.chain.contains(path)) {
            let mut chain: Vec<String> =
                place.chain.iter().map(|path| path.display().to_string()).collect();
            chain.push(known.display().to_string());
            let message = format!("include cycle: {}", chain.join(" includes "));
            self.problems.error(node.mark, path, message);
            return Err(Failed);
        }
        self.included += entry.paths.len();
        if self.included > MAX_INCLUDED || place.chain.len() > MAX_DEPTH {
            self.problems.error(node.mark, path, "too many included files");
            return Err(Failed);
        }
        let mut files = Vec::new();
        for file in &entry.paths {
            files.extend(self.read_file(file, Some((node.mark, path))));
        }
        self.problems.check()?;
        let environment = self.environment_of(entry, place)?;
        let inner =
            Place { directory: entry.directory.clone(), environment, chain: place.chain.clone() };
        let base = relative(&place.directory, &entry.directory);
        self.merged(files, &inner, Some(&base))
    }

    /// The project's variables, and below them those of the included one's own env files.
    fn environment_of(&mut self, entry: &Entry, place: &Place) -> Result<Rc<Environment>, Failed> {
        let files: Vec<PathBuf> = match &entry.env_files {
            Some(files) => {
                files.iter().filter(|path| path.as_os_str() != "/dev/null").cloned().collect()
            }
            None => {
                let default = entry.directory.join(".env");
                if default.is_file() { vec![default] } else { Vec::new() }
            }
        };
        if files.is_empty() {
            return Ok(Rc::clone(&place.environment));
        }
        let mut environment = Environment::clone(&place.environment);
        let read = read_env_files(&files, &environment, &mut self.sources, &mut self.problems)?;
        for (key, value) in read {
            environment.entry(key).or_insert(value);
        }
        Ok(Rc::new(environment))
    }

    /// What is there already lies over what is imported.
    fn import(&mut self, imported: Node, document: &mut Node, resets: &[Vec<String>]) {
        let Value::Map(mut imported) = imported.value else { return };
        for kind in ["services", "volumes", "networks", "secrets", "configs", "models"] {
            let Some(resources) = imported.remove(kind) else { continue };
            let (mark, key) = (resources.mark, resources.key);
            let Value::Map(resources) = resources.value else { continue };
            let Some(document) = document.as_map_mut() else { return };
            let own = document.entry(kind.to_owned()).or_insert_with(|| Node {
                value: Value::Map(Map::new()),
                mark,
                key,
            });
            let Some(own) = own.as_map_mut() else { continue };
            let root = Path::ROOT;
            let path = root.key(kind);
            for (name, resource) in resources {
                let merged = match own.remove(&name) {
                    Some(known) if known == resource => known,
                    Some(known) => {
                        let base = forget_in(kind, &name, resource, resets);
                        merge::merge(base, known, &path.key(&name), &mut self.problems)
                    }
                    None => resource,
                };
                own.insert(name, merged);
            }
        }
    }
}

fn forget_in(kind: &str, name: &str, resource: Node, resets: &[Vec<String>]) -> Node {
    let mark = resource.mark;
    let kinds = Node::new(Value::Map(Map::from([(name.to_owned(), resource)])), mark);
    let mut root = Node::new(Value::Map(Map::from([(kind.to_owned(), kinds)])), mark);
    reset::forget(&mut root, resets);
    root.get_mut(kind)
        .and_then(Node::as_map_mut)
        .and_then(|map| map.remove(name))
        .unwrap_or_default()
}
