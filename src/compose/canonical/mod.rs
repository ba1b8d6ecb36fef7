//! Short forms become long ones.

mod defaults;

use super::diagnostic::Problems;
use super::limits::MAX_PORTS;
use super::merge::dependency;
use super::tree::{Map, Mark, Node, Path, Value};
use super::value::{ShortPort, parse_ports, parse_volume};

pub(crate) use defaults::{clean_targets, defaults};

/// Rewrites a document. With `lenient` (variables are left alone) what cannot be read stays.
pub(crate) fn canonical(root: &mut Node, lenient: bool, problems: &mut Problems) {
    let mut pass = Pass { lenient, problems, ports: 0 };
    let path = Path::ROOT;
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        let path = path.key("services");
        for (name, service) in services.iter_mut() {
            pass.service(service, &path.key(name));
        }
    }
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let path = path.key(kind);
        for (name, resource) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten()
        {
            pass.maybe_external(resource, &path.key(name));
        }
    }
}

struct Pass<'a> {
    lenient: bool,
    problems: &'a mut Problems,
    /// How many ports ranges were spread out to.
    ports: usize,
}

impl Pass<'_> {
    fn service(&mut self, service: &mut Node, path: &Path<'_>) {
        let Some(map) = service.as_map_mut() else { return };
        for (key, node) in map.iter_mut() {
            let path = path.key(key);
            match key.as_str() {
                "build" => self.build(node, &path),
                "depends_on" => depends_on(node),
                "env_file" => env_files(node),
                "label_file" | "dns" => texts(node),
                "extends" => short(node, "service"),
                "gpus" => gpus(node),
                "networks" | "models" => names(node),
                "volumes" => self.items(node, &path, Self::volume),
                "devices" => self.items(node, &path, Self::device),
                "secrets" | "configs" => {
                    self.items(node, &path, |_, node, _| short(node, "source"));
                }
                "ports" => self.ports(node, &path),
                "develop" => develop(node),
                _ => {}
            }
        }
        // An empty address of a name server means nothing.
        if let Some(dns) = map.get_mut("dns").and_then(Node::as_list_mut) {
            dns.retain(|item| item.as_text() != Some(""));
        }
    }

    fn items(
        &mut self,
        node: &mut Node,
        path: &Path<'_>,
        each: impl Fn(&mut Self, &mut Node, &Path<'_>),
    ) {
        for (index, item) in node.as_list_mut().into_iter().flatten().enumerate() {
            each(self, item, &path.item(index));
        }
    }

    fn build(&mut self, node: &mut Node, path: &Path<'_>) {
        short(node, "context");
        let Some(map) = node.as_map_mut() else { return };
        for (key, node) in map.iter_mut() {
            let path = path.key(key);
            match key.as_str() {
                "secrets" => self.items(node, &path, |_, node, _| short(node, "source")),
                "provenance" | "sbom" => {
                    if let Some(text) = node.scalar_text() {
                        node.value = Value::Text(text);
                    }
                }
                "additional_contexts" => self.key_values(node, &path),
                "ssh" => self.ssh(node, &path),
                _ => {}
            }
        }
    }

    fn key_values(&mut self, node: &mut Node, path: &Path<'_>) {
        let Value::List(list) = &node.value else { return };
        let mut map = Map::new();
        for (index, item) in list.iter().enumerate() {
            match item.as_text().and_then(|text| text.split_once('=')) {
                Some((key, value)) => {
                    map.insert(key.to_owned(), Node::text(value, item.mark));
                }
                None if self.lenient => return,
                None => {
                    self.problems.error(item.mark, &path.item(index), "must be KEY=VALUE");
                }
            }
        }
        node.value = Value::Map(map);
    }

    fn ssh(&mut self, node: &mut Node, path: &Path<'_>) {
        let Value::List(list) = &node.value else { return };
        let mut map = Map::new();
        for (index, item) in list.iter().enumerate() {
            let text = item.as_text().unwrap_or_default();
            match text.split_once('=') {
                Some((id, key)) => {
                    map.insert(id.to_owned(), Node::text(key, item.mark));
                }
                None if text == "default" => {
                    map.insert(text.to_owned(), Node::new(Value::Null, item.mark));
                }
                None => {
                    let message = format!("invalid ssh key {text:?}: must be `default` or ID=PATH");
                    self.problems.error(item.mark, &path.item(index), message);
                }
            }
        }
        node.value = Value::Map(map);
    }

    fn volume(&mut self, node: &mut Node, path: &Path<'_>) {
        let Some(text) = node.as_text() else { return };
        let volume = match parse_volume(text) {
            Ok(volume) => volume,
            Err(_) if self.lenient => return,
            Err(message) => {
                self.problems.error(node.mark, path, message);
                return;
            }
        };
        let mark = node.mark;
        let text = |text: &str| Node::text(text, mark);
        let mut long = Map::new();
        let kind = if volume.is_bind() { "bind" } else { "volume" };
        long.insert("type".to_owned(), text(kind));
        if !volume.source.is_empty() {
            long.insert("source".to_owned(), text(&volume.source));
        }
        long.insert("target".to_owned(), text(&volume.target));
        if volume.read_only {
            long.insert("read_only".to_owned(), Node::flag(true, mark));
        }
        let mut bind = Map::new();
        if let Some(propagation) = &volume.propagation {
            bind.insert("propagation".to_owned(), text(propagation));
        }
        if let Some(selinux) = &volume.selinux {
            bind.insert("selinux".to_owned(), text(selinux));
        }
        if volume.is_bind() {
            bind.insert("create_host_path".to_owned(), Node::flag(true, mark));
        }
        if volume.is_bind() || !bind.is_empty() {
            long.insert("bind".to_owned(), Node::new(Value::Map(bind), mark));
        }
        if (!volume.is_bind() && !volume.is_short) || volume.nocopy {
            let mut options = Map::new();
            if volume.nocopy {
                options.insert("nocopy".to_owned(), Node::flag(true, mark));
            }
            long.insert("volume".to_owned(), Node::new(Value::Map(options), mark));
        }
        node.value = Value::Map(long);
    }

    fn device(&mut self, node: &mut Node, path: &Path<'_>) {
        let Some(text) = node.as_text() else { return };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, permissions) = match parts[..] {
            [source] => (source, source, "rwm"),
            [source, target] => (source, target, "rwm"),
            [source, target, permissions] => (source, target, permissions),
            _ if self.lenient => ("", "", "rwm"),
            _ => {
                let message = format!("confusing device mapping {text:?}");
                self.problems.error(node.mark, path, message).hint("use the long form");
                return;
            }
        };
        let target = if target.is_empty() { source } else { target };
        let mark = node.mark;
        node.value = Value::Map(Map::from([
            ("source".to_owned(), Node::text(source, mark)),
            ("target".to_owned(), Node::text(target, mark)),
            ("permissions".to_owned(), Node::text(permissions, mark)),
        ]));
    }

    fn ports(&mut self, node: &mut Node, path: &Path<'_>) {
        if self.lenient && !all_ports_can_be_read(node) {
            return;
        }
        let Value::List(list) = std::mem::take(&mut node.value) else { return };
        let mut long = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            if self.ports > MAX_PORTS {
                break;
            }
            if item.as_map().is_some() {
                long.push(item);
                continue;
            }
            let text = item.scalar_text().unwrap_or_default();
            match parse_ports(&text) {
                Ok(ports) if self.ports + ports.len() > MAX_PORTS => {
                    let message = format!("more than {MAX_PORTS} ports in one file");
                    self.problems.error(item.mark, &path.item(index), message);
                    self.ports = MAX_PORTS + 1;
                }
                Ok(ports) => {
                    self.ports += ports.len();
                    long.extend(ports.into_iter().map(|port| long_port(port, item.mark)));
                }
                Err(message) => {
                    self.problems.error(item.mark, &path.item(index), message);
                }
            }
        }
        node.value = Value::List(long);
    }

    /// `external: {name: …}` is the old form of `external: true` and `name: …`.
    fn maybe_external(&mut self, node: &mut Node, path: &Path<'_>) {
        let Some(map) = node.as_map_mut() else { return };
        let Some(external) = map.get("external").filter(|node| node.as_map().is_some()) else {
            return;
        };
        let (mark, key) = (external.mark, external.key);
        let name = external.get("name").cloned();
        map.insert("external".to_owned(), Node { value: Value::Bool(true), mark, key });
        let Some(name) = name else { return };
        let message = "external.name is deprecated. Please set name and external: true";
        self.problems.warning(mark, path, message);
        match map.get("name") {
            Some(other) if other.value != name.value => {
                let message = "name and external.name conflict; only use name";
                self.problems.error(name.mark, path, message).related(other.mark, "name is here");
            }
            Some(_) => {}
            None => {
                map.insert("name".to_owned(), name);
            }
        }
    }
}

/// A list with a variable in it stays as it is as a whole.
fn all_ports_can_be_read(node: &Node) -> bool {
    let list = node.as_list().unwrap_or_default();
    list.iter().filter_map(Node::scalar_text).all(|text| parse_ports(&text).is_ok())
}

/// Text as an object with one attribute.
fn short(node: &mut Node, attribute: &str) {
    if node.as_text().is_some() {
        let text = Node::new(std::mem::take(&mut node.value), node.mark);
        node.value = Value::Map(Map::from([(attribute.to_owned(), text)]));
    }
}

/// One text as a list.
fn texts(node: &mut Node) {
    if node.as_text().is_some() {
        let text = Node::new(std::mem::take(&mut node.value), node.mark);
        node.value = Value::List(vec![text]);
    }
}

/// A list of names as a mapping to nothing.
fn names(node: &mut Node) {
    if let Value::List(list) = &node.value {
        let map = list.iter().filter_map(|item| {
            Some((item.as_text()?.to_owned(), Node::new(Value::Null, item.mark)))
        });
        node.value = Value::Map(map.collect());
    }
}

fn depends_on(node: &mut Node) {
    match &mut node.value {
        Value::List(list) => {
            let map = list.iter().filter_map(|item| {
                Some((item.as_text()?.to_owned(), Node::new(dependency(item), item.mark)))
            });
            node.value = Value::Map(map.collect());
        }
        Value::Map(map) => {
            for member in map.values_mut() {
                let mark = member.mark;
                let Some(map) = member.as_map_mut() else { continue };
                map.entry("condition".to_owned())
                    .or_insert_with(|| Node::text("service_started", mark));
                map.entry("required".to_owned()).or_insert_with(|| Node::flag(true, mark));
            }
        }
        _ => {}
    }
}

fn env_files(node: &mut Node) {
    texts(node);
    for item in node.as_list_mut().into_iter().flatten() {
        short(item, "path");
        let mark = item.mark;
        if let Some(map) = item.as_map_mut() {
            map.entry("required".to_owned()).or_insert_with(|| Node::flag(true, mark));
        }
    }
}

fn long_port(port: ShortPort, mark: Mark) -> Node {
    let mut map = Map::from([
        ("mode".to_owned(), Node::text("ingress", mark)),
        ("target".to_owned(), Node::new(Value::Int(port.target.into()), mark)),
        ("protocol".to_owned(), Node::text(port.protocol, mark)),
    ]);
    if !port.host_ip.is_empty() {
        map.insert("host_ip".to_owned(), Node::text(port.host_ip, mark));
    }
    if !port.published.is_empty() {
        map.insert("published".to_owned(), Node::text(port.published, mark));
    }
    Node::new(Value::Map(map), mark)
}

fn gpus(node: &mut Node) {
    if node.as_text().is_some() {
        let count = Node::text("all", node.mark);
        let all = Node::new(Value::Map(Map::from([("count".to_owned(), count)])), node.mark);
        node.value = Value::List(vec![all]);
    }
}

fn develop(node: &mut Node) {
    for watch in node.get_mut("watch").and_then(Node::as_list_mut).into_iter().flatten() {
        for name in ["ignore", "include"] {
            if let Some(node) = watch.get_mut(name) {
                texts(node);
            }
        }
    }
}
