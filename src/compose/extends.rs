//! `extends`: a service over another one, of this file or of a foreign one.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};

use super::canonical::canonical;
use super::diagnostic::Failed;
use super::interpolate::interpolate;
use super::limits::size;
use super::load::{Loader, Place};
use super::paths::{self, Base, join, relative};
use super::tree::{Map, Mark, Node, Path, Value};
use super::{merge, reset, unique};

/// The longest chain of services that extend one another.
const MAX_CHAIN: usize = 100;

/// The services of one document, with those already put together.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    file: PathBuf,
    services: Map,
    resets: Vec<Vec<String>>,
    done: HashMap<String, Node>,
}

/// What an `extends` names.
struct Reference {
    service: String,
    file: Option<String>,
    mark: Mark,
}

impl Loader<'_> {
    /// Puts together every service of a document.
    pub(crate) fn extend(
        &mut self,
        document: &mut Node,
        file: &FilePath,
        place: &Place,
        resets: &[Vec<String>],
    ) -> Result<(), Failed> {
        let Some(services) = document.get_mut("services").and_then(Node::as_map_mut) else {
            return Ok(());
        };
        if !services.values().any(|service| service.get("extends").is_some()) {
            return Ok(());
        }
        let services = std::mem::take(services);
        let names: Vec<String> = services.keys().cloned().collect();
        self.scopes.push(Scope {
            file: file.to_path_buf(),
            services,
            resets: resets.to_vec(),
            done: HashMap::new(),
        });
        let scope = self.scopes.len() - 1;
        let mut whole = Map::new();
        for name in names {
            let service = self.put_together(scope, &name, place, &mut Vec::new())?;
            whole.insert(name, service);
        }
        self.problems.check()?;
        if let Some(services) = document.get_mut("services").and_then(Node::as_map_mut) {
            *services = whole;
        }
        Ok(())
    }

    fn put_together(
        &mut self,
        scope: usize,
        name: &str,
        place: &Place,
        chain: &mut Vec<(usize, String)>,
    ) -> Result<Node, Failed> {
        if let Some(done) = self.scopes[scope].done.get(name) {
            return Ok(done.clone());
        }
        let Some(service) = self.scopes[scope].services.get(name).cloned() else {
            return Ok(Node::default());
        };
        let services = Path::ROOT.key("services");
        let path = services.key(name);
        let Some(reference) = self.reference(&service, &path)? else { return Ok(service) };
        chain.push((scope, name.to_owned()));
        let base_scope = match &reference.file {
            None => scope,
            Some(file) => self.foreign_scope(file, reference.mark, &path, place)?,
        };
        let next = (base_scope, reference.service.clone());
        if chain.contains(&next) || chain.len() > MAX_CHAIN {
            let mut names: Vec<String> = chain.iter().map(|(_, name)| name.clone()).collect();
            names.push(reference.service.clone());
            let message = format!("circular reference: {}", names.join(" extends "));
            self.problems.error(reference.mark, &path.key("extends"), message);
            return Err(Failed);
        }
        if !self.scopes[base_scope].services.contains_key(&reference.service) {
            self.no_such_service(&reference, base_scope, &path);
            return Err(Failed);
        }
        let mut base = self.put_together(base_scope, &reference.service, place, chain)?;
        chain.pop();
        if base.is_null() {
            return Ok(service);
        }
        let resets = self.scopes[scope].resets.clone();
        if !resets.is_empty() {
            base = forget_in_service(base, name, &resets);
        }
        let mut whole = merge::merge(base, service, &path, &mut self.problems);
        if let Some(map) = whole.as_map_mut() {
            map.remove("extends");
        }
        // The whole is kept twice: for the document, and for who extends it.
        self.grow(2 * size(&whole), reference.mark, &path.key("extends"))?;
        self.scopes[scope].done.insert(name.to_owned(), whole.clone());
        Ok(whole)
    }

    fn no_such_service(&mut self, reference: &Reference, scope: usize, path: &Path<'_>) {
        let file = self.scopes[scope].file.display().to_string();
        let known: Vec<String> = self.scopes[scope].services.keys().cloned().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let name = &reference.service;
        let message = format!("cannot extend service {name:?}: there is none in {file}");
        let problem = self.problems.error(reference.mark, &path.key("extends"), message);
        if let Some(name) = super::suggest::suggest(name, &known) {
            problem.hint(format!("did you mean `{name}`?"));
        }
    }

    /// What a service extends, if it does.
    fn reference(&mut self, service: &Node, path: &Path<'_>) -> Result<Option<Reference>, Failed> {
        let Some(extends) = service.get("extends") else { return Ok(None) };
        let mark = extends.mark;
        let reference = match &extends.value {
            Value::Text(name) => Some((name.clone(), None)),
            Value::Map(_) => extends
                .text_of("service")
                .map(|name| (name.to_owned(), extends.text_of("file").map(str::to_owned))),
            _ => None,
        };
        match reference {
            Some((service, file)) => Ok(Some(Reference { service, file, mark })),
            None => {
                let message =
                    "must be the name of a service, or a mapping with `service` and `file`";
                self.problems.error(mark, &path.key("extends"), message);
                Err(Failed)
            }
        }
    }

    /// The services of a foreign file, with their paths seen from this project.
    fn foreign_scope(
        &mut self,
        file: &str,
        mark: Mark,
        path: &Path<'_>,
        place: &Place,
    ) -> Result<usize, Failed> {
        let file = join(&place.directory, file);
        if let Some(known) = self.foreign.get(&file) {
            return known.ok_or(Failed);
        }
        self.foreign.insert(file.clone(), None);
        let path = path.key("extends");
        let source = self.read_file(&file, Some((mark, &path))).ok_or(Failed)?;
        self.problems.check()?;
        let mut root = Node::empty_map(Mark::file(source.file));
        let mut resets = Vec::new();
        for document in source.documents {
            let mut over = document.root;
            self.grow(size(&over), mark, &path)?;
            if over.as_map().is_none() {
                let message = format!("the top level must be a mapping, not {}", over.kind());
                self.problems.error(over.mark, &Path::ROOT, message);
                return Err(Failed);
            }
            if !self.options.no_interpolate {
                interpolate(&mut over, &self.environment, &mut self.told, &mut self.problems);
                self.problems.check()?;
            }
            reset::forget(&mut root, &document.resets);
            resets.extend(document.resets);
            root = merge::merge(root, over, &Path::ROOT, &mut self.problems);
            unique::unique(&mut root);
            canonical(&mut root, self.options.no_interpolate, &mut self.problems);
            unique::unique(&mut root);
        }
        self.problems.check()?;
        let directory = file.parent().unwrap_or(FilePath::new("/"));
        let base = relative(&place.directory, directory);
        let home = self.options.environment.get("HOME").map(String::as_str);
        paths::resolve(&mut root, &Base { directory: &base, home }, &mut self.problems);
        let services = match root.get_mut("services").map(|node| &mut node.value) {
            Some(Value::Map(services)) => std::mem::take(services),
            _ => Map::new(),
        };
        let scope = Scope { file: file.clone(), services, resets, done: HashMap::new() };
        self.scopes.push(scope);
        let index = self.scopes.len() - 1;
        self.foreign.insert(file, Some(index));
        Ok(index)
    }
}

/// Forgets, in a base, what the extending service marks.
fn forget_in_service(base: Node, name: &str, resets: &[Vec<String>]) -> Node {
    let mark = base.mark;
    let services = Node::new(Value::Map(Map::from([(name.to_owned(), base)])), mark);
    let mut root = Node::new(Value::Map(Map::from([("services".to_owned(), services)])), mark);
    let deep: Vec<Vec<String>> = resets.iter().filter(|place| place.len() > 2).cloned().collect();
    reset::forget(&mut root, &deep);
    root.get_mut("services")
        .and_then(Node::as_map_mut)
        .and_then(|services| services.remove(name))
        .unwrap_or_default()
}
