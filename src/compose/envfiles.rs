//! `env_file` and `label_file`: their content becomes part of `environment` and `labels`.

use std::path::Path as FilePath;

use super::diagnostic::Failed;
use super::dotenv;
use super::find::read_text;
use super::interpolate::Environment;
use super::limits::size_of_text;
use super::load::Loader;
use super::tree::{Map, Mark, Node, Path, Value};

impl Loader<'_> {
    /// Reads the env files of every service. Each later file wins; `environment` wins over all.
    pub(crate) fn resolve_env_files(&mut self, root: &mut Node) {
        let services = Path::ROOT.key("services");
        // Taken and given back: there may be much of it, and many services.
        let environment = std::mem::take(&mut self.environment);
        for (name, service) in
            root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten()
        {
            if self.env_files(service, &services.key(name), &environment).is_err() {
                break;
            }
        }
        self.environment = environment;
    }

    fn env_files(
        &mut self,
        service: &mut Node,
        path: &Path<'_>,
        environment: &Environment,
    ) -> Result<(), Failed> {
        let mark = service.mark;
        let Some(map) = service.as_map_mut() else { return Ok(()) };
        let files = map.remove("env_file");
        if let Some(variables) = map.get_mut("environment") {
            for (key, member) in variables.as_map_mut().into_iter().flatten() {
                if member.is_null()
                    && let Some(value) = environment.get(key)
                {
                    member.value = Value::Text(value.clone());
                }
            }
        }
        let Some(files) = files else { return Ok(()) };
        let own = map.get("environment").and_then(Node::as_map).cloned().unwrap_or_default();
        let mut variables: std::collections::BTreeMap<String, String> = own
            .iter()
            .filter_map(|(key, node)| Some((key.clone(), node.as_text()?.to_owned())))
            .collect();
        let path = path.key("env_file");
        let lookup = |name: &str| {
            environment
                .get(name)
                .cloned()
                .or_else(|| own.get(name).and_then(Node::as_text).map(str::to_owned))
        };
        for (index, item) in files.as_list().unwrap_or_default().iter().enumerate() {
            let path = path.item(index);
            let name = item.text_of("path").unwrap_or_default();
            let required =
                !matches!(item.get("required").map(|n| &n.value), Some(Value::Bool(false)));
            if !required && !FilePath::new(name).exists() {
                continue;
            }
            let file = FilePath::new(name);
            let Some((file, text)) = read_text(
                file,
                "env file",
                &mut self.sources,
                &mut self.problems,
                Some((item.mark, &path)),
            ) else {
                continue;
            };
            let read = match item.text_of("format") {
                None | Some("") => dotenv::parse(&text, &lookup, &mut variables),
                Some("raw") => dotenv::parse_raw(&text, &lookup, &mut variables),
                Some(other) => {
                    let message = format!("unsupported env_file format {other:?}");
                    self.problems.error(item.mark, &path, message).hint("the only one is `raw`");
                    continue;
                }
            };
            if let Err(error) = read {
                let place = Mark { file, line: error.line, column: 1 };
                self.problems.error(place, &path, error.message);
            }
        }
        let read = variables.values().map(|value| size_of_text(value.len())).sum();
        self.grow(read, files.mark, &path)?;
        let mut all: Map = variables
            .into_iter()
            .map(|(key, value)| (key, Node::text(value, files.mark)))
            .collect();
        all.extend(own);
        if !all.is_empty() {
            map.insert("environment".to_owned(), Node::new(Value::Map(all), mark));
        }
        Ok(())
    }

    /// Reads the label files of every service; `labels` wins over all.
    pub(crate) fn resolve_label_files(&mut self, root: &mut Node) {
        let services = Path::ROOT.key("services");
        for (name, service) in
            root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten()
        {
            let path = services.key(name);
            let path = path.key("label_file");
            let mark = service.mark;
            let Some(map) = service.as_map_mut() else { continue };
            let Some(files) = map.remove("label_file") else { continue };
            let mut labels = std::collections::BTreeMap::new();
            for (index, item) in files.as_list().unwrap_or_default().iter().enumerate() {
                let path = path.item(index);
                let name = FilePath::new(item.as_text().unwrap_or_default());
                let from = Some((item.mark, &path));
                let Some((file, text)) =
                    read_text(name, "label file", &mut self.sources, &mut self.problems, from)
                else {
                    continue;
                };
                let before = labels.clone();
                let lookup = |name: &str| before.get(name).cloned();
                if let Err(error) = dotenv::parse(&text, &lookup, &mut labels) {
                    let place = Mark { file, line: error.line, column: 1 };
                    self.problems.error(place, &path, error.message);
                }
            }
            let mut all: Map = labels
                .into_iter()
                .map(|(key, value)| (key, Node::text(value, files.mark)))
                .collect();
            if let Some(Value::Map(own)) = map.remove("labels").map(|node| node.value) {
                all.extend(own);
            }
            if !all.is_empty() {
                map.insert("labels".to_owned(), Node::new(Value::Map(all), mark));
            }
        }
    }
}
