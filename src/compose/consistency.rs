//! Whether everything that is named is there, and nothing contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Problems;
use super::load::members;
use super::select::texts;
use super::suggest::suggest;
use super::tree::{Map, Mark, Node, Path, Value};

/// Tells what does not fit together. `off` are the services whose profiles are off.
pub(crate) fn check(root: &Node, off: &Map, problems: &mut Problems) {
    let services = Path::ROOT.key("services");
    let mut check = Check { root, off, problems };
    for (name, service) in members(root, "services") {
        check.service(service, &services.key(name));
    }
    check.secrets();
    check.cycles();
    check.container_names();
}

struct Check<'a> {
    root: &'a Node,
    off: &'a Map,
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn service(&mut self, service: &Node, path: &Path<'_>) {
        if service.get("image").is_none()
            && service.get("build").is_none()
            && service.get("provider").is_none()
        {
            let message = "neither an image nor a build context is given";
            self.problems.error(service.key, path, message).hint("add `image: <name>`");
        }
        self.build(service, path);
        self.networks(service, path);
        self.health(service, path);
        self.dependencies(service, path);
        self.resources(service, path);
        self.numbers(service, path);
        self.mounts(service, path);
        self.watch(service, path);
    }

    fn build(&mut self, service: &Node, path: &Path<'_>) {
        let Some(build) = service.get("build") else { return };
        let path = path.key("build");
        if let (Some(inline), Some(file)) =
            (build.get("dockerfile_inline"), build.get("dockerfile"))
        {
            let message = "dockerfile and dockerfile_inline exclude each other";
            self.problems.error(inline.key, &path, message).related(file.key, "dockerfile is here");
        }
        let contexts = path.key("additional_contexts");
        for (name, context) in members(build, "additional_contexts") {
            let target = context.as_text().and_then(|text| text.strip_prefix("service:"));
            let Some(target) = target else { continue };
            let known = self.root.get("services").and_then(|services| services.get(target));
            let message = match known {
                None => format!("there is no service {target:?}"),
                Some(other) if other.get("build").is_none() => {
                    format!("service {target:?} is not built here")
                }
                Some(_) => continue,
            };
            self.problems.error(context.mark, &contexts.key(name), message);
        }
        let platforms = texts(build, "platforms");
        if let Some(platform) = service.get("platform")
            && !platforms.is_empty()
            && platform.as_text().is_some_and(|platform| !platforms.contains(&platform))
        {
            let message = "build.platforms must contain the service's platform";
            self.problems.error(platform.mark, &path, message);
        }
        self.named_list(build, "secrets", "secrets", "secret", &path);
    }

    fn networks(&mut self, service: &Node, path: &Path<'_>) {
        if let (Some(mode), Some(networks)) = (service.get("network_mode"), service.get("networks"))
        {
            let message = "network_mode and networks exclude each other";
            self.problems.error(mode.key, path, message).related(networks.key, "networks is here");
        }
        let path = path.key("networks");
        for (name, network) in members(service, "networks") {
            self.must_exist("networks", "network", name, network.key, &path);
        }
    }

    fn health(&mut self, service: &Node, path: &Path<'_>) {
        let Some(health) = service.get("healthcheck") else { return };
        let path = path.key("healthcheck");
        let test = health.get("test").and_then(Node::as_list).and_then(<[Node]>::first);
        if let Some(first) = test {
            let word = first.as_text().unwrap_or_default();
            if !matches!(word, "CMD" | "CMD-SHELL" | "NONE" | "HTTP" | "TCP") {
                let message = "test must begin with CMD, CMD-SHELL, HTTP, TCP or NONE";
                self.problems.error(first.mark, &path.key("test"), message);
            }
        }
        if let Some(interval) = health.get("start_interval")
            && health.get("start_period").is_none()
        {
            let message = "start_interval needs a start_period";
            self.problems.warning(interval.key, &path, message);
        }
    }

    fn dependencies(&mut self, service: &Node, path: &Path<'_>) {
        let path = path.key("depends_on");
        for (name, dependency) in members(service, "depends_on") {
            let required =
                !matches!(dependency.get("required").map(|n| &n.value), Some(Value::Bool(false)));
            if self.off.contains_key(name) {
                if required {
                    let message = format!("depends on {name:?}, whose profiles are off");
                    let hint = format!(
                        "turn one on with --profile {}",
                        texts(&self.off[name], "profiles").first().unwrap_or(&"*")
                    );
                    self.problems.error(dependency.key, &path, message).hint(hint);
                }
                continue;
            }
            self.must_exist("services", "service", name, dependency.key, &path);
        }
    }

    fn resources(&mut self, service: &Node, path: &Path<'_>) {
        let volumes = path.key("volumes");
        for (index, item) in
            service.get("volumes").and_then(Node::as_list).into_iter().flatten().enumerate()
        {
            let source = item.get("source").filter(|_| item.text_of("type") == Some("volume"));
            let Some(source) = source else { continue };
            let name = source.as_text().unwrap_or_default();
            self.must_exist("volumes", "volume", name, source.mark, &volumes.item(index));
        }
        self.named_list(service, "configs", "configs", "config", path);
        self.named_list(service, "secrets", "secrets", "secret", path);
        let models = path.key("models");
        for (name, model) in members(service, "models") {
            self.must_exist("models", "model", name, model.key, &models);
        }
    }

    fn named_list(&mut self, node: &Node, list: &str, kind: &str, what: &str, path: &Path<'_>) {
        let path = path.key(list);
        for (index, item) in
            node.get(list).and_then(Node::as_list).into_iter().flatten().enumerate()
        {
            let Some(source) = item.get("source") else {
                self.problems.error(item.mark, &path.item(index), "source is missing");
                continue;
            };
            let name = source.as_text().unwrap_or_default();
            self.must_exist(kind, what, name, source.mark, &path.item(index));
        }
    }

    fn must_exist(&mut self, kind: &str, what: &str, name: &str, mark: Mark, path: &Path<'_>) {
        let known = self.root.get(kind).and_then(Node::as_map);
        if known.is_some_and(|known| known.contains_key(name)) {
            return;
        }
        let names: Vec<&str> = known.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let near = suggest(name, &names);
        let problem = self.problems.error(mark, path, format!("undefined {what} {name:?}"));
        match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None if kind == "services" => problem,
            None => problem.hint(format!("define it at the top level, under `{kind}:`")),
        };
    }

    fn numbers(&mut self, service: &Node, path: &Path<'_>) {
        let deploy = service.get("deploy");
        let replicas = deploy.and_then(|deploy| deploy.get("replicas"));
        let scale = service.get("scale");
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale != replicas
        {
            let message = "scale and deploy.replicas differ";
            self.problems.error(scale.key, path, message).related(replicas.key, "replicas is here");
        }
        for (node, name) in [(scale, "scale"), (replicas, "deploy.replicas")] {
            if let Some(node) = node
                && matches!(node.value, Value::Int(number) if number < 0)
            {
                self.problems.error(node.mark, path, format!("{name} must not be negative"));
            }
        }
        let count = scale.or(replicas);
        if let Some(count) = count
            && matches!(count.value, Value::Int(number) if number > 1)
            && let Some(name) = service.get("container_name")
        {
            let message = "a service with a container_name can have one container only";
            self.problems.error(name.key, path, message).related(count.key, "more are wanted here");
        }
        let resources = deploy.and_then(|deploy| deploy.get("resources"));
        for (own, group, name) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("pids_limit", "limits", "pids"),
            ("mem_reservation", "reservations", "memory"),
        ] {
            let other = resources.and_then(|node| node.get(group)).and_then(|node| node.get(name));
            if let (Some(own_node), Some(other)) = (service.get(own), other)
                && own_node != other
            {
                let message = format!("{own} and deploy.resources.{group}.{name} differ");
                self.problems.error(own_node.key, path, message).related(other.key, "the other");
            }
        }
    }

    fn mounts(&mut self, service: &Node, path: &Path<'_>) {
        let mut taken: BTreeMap<String, Mark> = BTreeMap::new();
        let tmpfs = service.get("tmpfs").and_then(Node::as_list).into_iter().flatten();
        let tmpfs = tmpfs.map(|item| {
            let text = item.as_text().unwrap_or_default();
            ("tmpfs", text.split(':').next().unwrap_or_default(), item.mark)
        });
        let volumes = service.get("volumes").and_then(Node::as_list).into_iter().flatten();
        let volumes =
            volumes.map(|item| ("volumes", item.text_of("target").unwrap_or_default(), item.mark));
        for (list, target, mark) in tmpfs.chain(volumes) {
            if let Some(first) = taken.get(target) {
                let message = format!("two mounts at {target}");
                let problem = self.problems.error(mark, &path.key(list), message);
                problem.related(*first, "the first is here");
            } else {
                taken.insert(target.to_owned(), mark);
            }
        }
    }

    /// A driver alone is not enough: where would it take the secret from?
    fn secrets(&mut self) {
        let secrets = Path::ROOT.key("secrets");
        for (name, secret) in members(self.root, "secrets") {
            let sources = ["external", "file", "environment"];
            if !sources.iter().any(|source| secret.get(source).is_some()) {
                let message = "one of file, environment must be set";
                self.problems.error(secret.key, &secrets.key(name), message);
            }
        }
    }

    fn watch(&mut self, service: &Node, path: &Path<'_>) {
        let watch = service.get("develop").and_then(|develop| develop.get("watch"));
        for item in watch.and_then(Node::as_list).into_iter().flatten() {
            let action = item.text_of("action").unwrap_or_default();
            if item.get("target").is_none() && !matches!(action, "rebuild" | "restart") {
                let message = format!("the action {action} needs a target");
                self.problems.error(item.mark, &path.key("develop"), message);
            }
        }
    }

    fn cycles(&mut self) {
        let mut done = BTreeSet::new();
        let names: Vec<&String> = members(self.root, "services").map(|(name, _)| name).collect();
        for name in names {
            let mut chain = Vec::new();
            self.walk(name, &mut chain, &mut done);
        }
    }

    /// Depth first without recursion: a chain of dependencies may be as long as a file.
    fn walk(&mut self, start: &str, chain: &mut Vec<String>, done: &mut BTreeSet<String>) {
        let next = |root: &Node, name: &str| -> Vec<(String, Mark)> {
            let service = root.get("services").and_then(|services| services.get(name));
            service
                .map(|service| {
                    members(service, "depends_on")
                        .map(|(name, node)| (name.clone(), node.key))
                        .collect()
                })
                .unwrap_or_default()
        };
        if done.contains(start) {
            return;
        }
        chain.push(start.to_owned());
        let mut places = BTreeMap::from([(start.to_owned(), 0)]);
        let mut stack = vec![next(self.root, start)];
        while let Some(top) = stack.last_mut() {
            let Some((name, mark)) = top.pop() else {
                stack.pop();
                if let Some(name) = chain.pop() {
                    places.remove(&name);
                    done.insert(name);
                }
                continue;
            };
            if let Some(at) = places.get(&name) {
                let cycle = chain[*at..].join(" -> ");
                let services = Path::ROOT.key("services");
                let from = chain.last().map_or("", String::as_str);
                let path = services.key(from);
                let message = format!("dependency cycle detected: {cycle} -> {name}");
                self.problems.error(mark, &path.key("depends_on"), message);
            } else if !done.contains(&name) {
                stack.push(next(self.root, &name));
                places.insert(name.clone(), chain.len());
                chain.push(name);
            }
        }
    }

    fn container_names(&mut self) {
        let services = Path::ROOT.key("services");
        let mut taken: BTreeMap<&str, &Node> = BTreeMap::new();
        for (name, service) in members(self.root, "services") {
            let Some(node) = service.get("container_name") else { continue };
            let text = node.as_text().unwrap_or_default();
            if let Some(first) = taken.get(text) {
                let message = format!("container name {text:?} is already in use");
                self.problems
                    .error(node.mark, &services.key(name), message)
                    .related(first.mark, "first used here");
            } else {
                taken.insert(text, node);
            }
        }
    }
}
