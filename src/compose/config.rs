//! A project as a document: what `orca config` shows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize as _;
use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, Errors, Failed, Severity};
use super::emit::{Form, Out, arrange_object, arrange_plain, arrange_project};
use super::emit::{write_compact, write_json, write_yaml};
use super::finish::finish;
use super::load::{Loader, Model, members};
use super::options::LoadOptions;
use super::schema::SERVICE;
use super::select::texts;
use super::support::Verdict;
use super::template::{Variable, variables};
use super::tree::{Map, Mark, Node, Path, Value};
use super::unique::is_keyed;
use super::{consistency, select};

/// A project as a document.
#[derive(Debug)]
pub struct Config {
    /// Noteworthy things, with their places.
    pub warnings: Vec<Diagnostic>,
    /// The variables that the files could use, `COMPOSE_PROJECT_NAME` among them.
    pub environment: BTreeMap<String, String>,
    /// The document.
    pub(crate) root: Node,
    /// Services whose profiles are off, or that were not selected.
    pub(crate) off: Map,
    /// What orca does with each attribute that the files use.
    pub(crate) verdicts: Vec<Verdict>,
    /// Whether variables were left alone; then values do not have their last form.
    pub(crate) raw: bool,
    /// What was found around the project.
    pub(crate) found: super::find::Found,
    /// The project's name.
    pub(crate) name: String,
}

/// Loads a project as a document. With [`LoadOptions::no_interpolate`] values stay as written, and
/// neither profiles nor consistency are looked at.
pub fn config(options: &LoadOptions) -> Result<Config, Errors> {
    let mut loader = Loader::new(options);
    let config = build(&mut loader);
    loader.result(config).map(|(mut config, warnings)| {
        config.warnings = warnings;
        config
    })
}

impl Loader<'_> {
    /// The result of a load with its warnings, or everything that is wrong.
    pub(crate) fn result<T>(
        &self,
        result: Result<T, Failed>,
    ) -> Result<(T, Vec<Diagnostic>), Errors> {
        match result {
            Ok(value) => Ok((value, self.problems.diagnostics(Severity::Warning, &self.sources))),
            Err(Failed) => Err(Errors(self.problems.diagnostics(Severity::Error, &self.sources))),
        }
    }
}

/// The document of a project.
pub(crate) fn build(loader: &mut Loader<'_>) -> Result<Config, Failed> {
    let Model { mut root, verdicts, name, found } = loader.model()?;
    let raw = loader.options.no_interpolate;
    let mut off = Map::new();
    if !raw {
        finish(&mut root, &mut loader.problems);
        loader.problems.check()?;
        off = select::apply_profiles(&mut root, &found.profiles);
        if !loader.options.no_consistency {
            consistency::check(&root, &off, &mut loader.problems);
            loader.problems.check()?;
            select::tell_replicas(&mut root);
        }
        let services = &loader.options.services;
        select::select(&mut root, &mut off, services, &found.profiles, &mut loader.problems)?;
        if !loader.options.no_env_resolution {
            loader.resolve_env_files(&mut root);
        }
        loader.resolve_label_files(&mut root);
        loader.problems.check()?;
        if !loader.options.all_resources {
            select::drop_unused(&mut root);
        }
        if root.get("services").is_none() {
            root.set("services", Node::empty_map(Mark::default()));
        }
        select::tell_resources(&mut root);
    }
    root.set("name", Node::text(name.as_str(), Mark::default()));
    Ok(Config {
        warnings: Vec::new(),
        environment: found.environment.clone(),
        root,
        off,
        verdicts,
        raw,
        found,
        name,
    })
}

impl Config {
    /// `--format json`, without a line end.
    pub fn json(&self) -> String {
        if self.raw {
            let mut root = self.root.clone();
            empty_lists_are_null(&mut root, &Path::ROOT);
            return write_json(&arrange_plain(&root, Form::Json));
        }
        write_json(&arrange_project(&self.root, Form::Json)).replace('$', "$$")
    }

    /// `--format yaml`.
    pub fn yaml(&self) -> String {
        if self.raw {
            return write_yaml(&arrange_plain(&self.root, Form::Yaml));
        }
        write_yaml(&arrange_project(&self.root, Form::Yaml)).replace('$', "$$")
    }

    /// `--services`: each after what it depends on.
    pub fn services(&self) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, _) in members(&self.root, "services") {
            self.visit(name, &mut seen, &mut order);
        }
        order
    }

    fn visit(&self, start: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        // Without recursion: a chain of dependencies may be as long as a file.
        let mut stack = vec![(start.to_owned(), false)];
        while let Some((name, is_done)) = stack.pop() {
            if is_done {
                order.push(name);
                continue;
            }
            let service = self.root.get("services").and_then(|services| services.get(&name));
            let Some(service) = service else { continue };
            if !seen.insert(name.clone()) {
                continue;
            }
            stack.push((name, true));
            let needed: Vec<String> =
                members(service, "depends_on").map(|(name, _)| name.clone()).collect();
            stack.extend(needed.into_iter().rev().map(|name| (name, false)));
        }
    }

    /// `--volumes`
    pub fn volumes(&self) -> Vec<String> {
        self.names("volumes")
    }

    /// `--networks`
    pub fn networks(&self) -> Vec<String> {
        self.names("networks")
    }

    /// `--models`
    pub fn models(&self) -> Vec<String> {
        members(&self.root, "models")
            .filter_map(|(_, m)| m.text_of("model"))
            .map(str::to_owned)
            .collect()
    }

    fn names(&self, kind: &str) -> Vec<String> {
        members(&self.root, kind).map(|(name, _)| name.clone()).collect()
    }

    /// `--images`: a service that is built has the name that its image will get.
    pub fn images(&self) -> Vec<String> {
        members(&self.root, "services")
            .map(|(name, service)| match service.text_of("image") {
                Some(image) => image.to_owned(),
                None => format!("{}-{name}", self.name),
            })
            .collect()
    }

    /// The images that services name themselves.
    pub fn named_images(&self) -> BTreeSet<String> {
        let images = members(&self.root, "services").filter_map(|(_, s)| s.text_of("image"));
        images.filter(|image| !image.is_empty()).map(str::to_owned).collect()
    }

    /// Gives images other names.
    pub fn rename_images(&mut self, names: &BTreeMap<String, String>) {
        let services = self.root.get_mut("services").and_then(Node::as_map_mut);
        for image in services.into_iter().flatten().filter_map(|(_, s)| s.get_mut("image")) {
            if let Some(name) = image.as_text().and_then(|image| names.get(image)) {
                *image = image.with(Value::Text(name.clone()));
            }
        }
    }

    /// Leaves nothing but the images of services.
    pub fn keep_only_images(&mut self) {
        let mut services = Node::empty_map(Mark::default());
        for (name, service) in members(&self.root, "services") {
            let Some(image) = service.get("image") else { continue };
            let mut only = Node::empty_map(Mark::default());
            only.set("image", image.clone());
            services.set(name, only);
        }
        self.root = Node::empty_map(Mark::default());
        self.root.set("services", services);
    }

    /// `--profiles`: of all services, on or off.
    pub fn profiles(&self) -> Vec<String> {
        let on = members(&self.root, "services").map(|(_, service)| service);
        let all: BTreeSet<String> = on
            .chain(self.off.values())
            .flat_map(|service| texts(service, "profiles"))
            .map(str::to_owned)
            .collect();
        all.into_iter().collect()
    }

    /// `--hash`: a service and the hash of what its containers are made from. Equal to docker
    /// compose's with [`LoadOptions::no_env_resolution`].
    pub fn hashes(&self) -> Vec<(String, String)> {
        members(&self.root, "services").map(|(name, node)| (name.clone(), hash(node))).collect()
    }

    /// `--variables`: what the files say of each variable. Needs [`LoadOptions::no_interpolate`].
    pub fn variables(&self) -> Vec<Variable> {
        let mut found = BTreeMap::new();
        collect(&self.root, &mut found);
        found.into_values().collect()
    }

    /// `--variables --format json`, with two line ends.
    pub fn variables_json(&self) -> String {
        let variables: BTreeMap<String, Variable> =
            self.variables().into_iter().map(|it| (it.name.clone(), it)).collect();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut bytes = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        // Text, flags and names as keys can always be written.
        let written = variables.serialize(&mut writer).map(|()| String::from_utf8(bytes));
        written.ok().and_then(Result::ok).unwrap_or_default() + "\n\n"
    }

    /// `--variables --format yaml`.
    pub fn variables_yaml(&self) -> String {
        let variables = self.variables().into_iter().map(|variable| {
            let fields = [
                ("name", Out::Text(variable.name.clone())),
                ("defaultvalue", Out::Text(variable.default_value)),
                ("presencevalue", Out::Text(variable.presence_value)),
                ("required", Out::Bool(variable.required)),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            (variable.name, Out::Map(fields.into()))
        });
        let text = write_yaml(&Out::Map(variables.collect()));
        // Here docker compose has four spaces for a level.
        text.replace("\n  ", "\n    ")
    }
}

/// As Go has it: a list that is read and left alone is null when it is empty.
fn empty_lists_are_null(node: &mut Node, path: &Path<'_>) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, member) in map.iter_mut() {
                empty_lists_are_null(member, &path.key(key));
            }
        }
        Value::List(list) if list.is_empty() => {
            let is_rebuilt = path.ends_with("environment") || path.ends_with("args");
            if is_rebuilt || !is_keyed(path) {
                node.value = Value::Null;
            }
        }
        Value::List(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                empty_lists_are_null(item, &path.item(index));
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn hash(service: &Node) -> String {
    let mut service = service.clone();
    if let Some(map) = service.as_map_mut() {
        for name in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            map.remove(name);
        }
    }
    if let Some(deploy) = service.get_mut("deploy").and_then(Node::as_map_mut) {
        deploy.remove("replicas");
    }
    let text = write_compact(&arrange_object(&SERVICE, &service, Form::Json));
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(node: &Node, found: &mut BTreeMap<String, Variable>) {
    match &node.value {
        Value::Text(text) => variables(text, found),
        Value::List(list) => list.iter().for_each(|node| collect(node, found)),
        Value::Map(map) => map.values().for_each(|node| collect(node, found)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
    }
}
