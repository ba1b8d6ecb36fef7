//! One service.

use std::collections::BTreeMap;

use super::Decode;
use super::fields::{
    duration, flag, int, items, optional_texts, pairs, size, text, texts, unsigned, variables,
};
use crate::compose::load::members;
use crate::compose::tree::{Mark, Node, Path, Value};
use crate::compose::value::{parse_bytes, parse_duration};
use crate::model::{
    Condition, Dependency, Device, DeviceRequest, HealthCheck, Hook, Logging, NamespaceMode, Probe,
    PullPolicy, Service, Ulimit, Ulimits, VolumesFrom,
};

impl Decode<'_> {
    /// A service.
    pub(super) fn service(&mut self, node: &Node, path: &Path<'_>) -> Service {
        let mut service = Service {
            image: text(node, "image").unwrap_or_default(),
            pull_policy: self.pull_policy(node, path),
            platform: text(node, "platform"),
            entrypoint: optional_texts(node, "entrypoint"),
            command: optional_texts(node, "command"),
            environment: variables(node, "environment"),
            working_dir: text(node, "working_dir"),
            user: text(node, "user"),
            group_add: texts(node, "group_add"),
            tty: flag(node, "tty"),
            stdin_open: flag(node, "stdin_open"),
            init: flag(node, "init"),
            stop_signal: self.signal(node, path),
            stop_grace_period: duration(node, "stop_grace_period"),
            post_start: hooks(node, "post_start"),
            pre_stop: hooks(node, "pre_stop"),
            container_name: text(node, "container_name"),
            hostname: text(node, "hostname"),
            domainname: text(node, "domainname"),
            labels: pairs(node, "labels"),
            annotations: pairs(node, "annotations"),
            read_only: flag(node, "read_only"),
            shm_size: size(node, "shm_size"),
            storage_opt: self.storage(node, path),
            expose: texts(node, "expose"),
            cap_add: texts(node, "cap_add"),
            cap_drop: texts(node, "cap_drop"),
            privileged: flag(node, "privileged"),
            security_opt: texts(node, "security_opt"),
            device_cgroup_rules: texts(node, "device_cgroup_rules"),
            userns_mode: text(node, "userns_mode"),
            cgroup_parent: text(node, "cgroup_parent"),
            sysctls: pairs(node, "sysctls"),
            oom_score_adj: int(node, "oom_score_adj").and_then(|number| i32::try_from(number).ok()),
            ..Service::default()
        };
        service.volumes_from = self.volumes_from(node, path);
        service.devices = devices(node);
        service.device_requests = device_requests(node);
        service.pid = self.namespace(node, "pid", path);
        service.ipc = self.namespace(node, "ipc", path);
        service.uts = self.namespace(node, "uts", path);
        service.cgroup = self.namespace(node, "cgroup", path);
        service.ulimits = ulimits(node);
        service.logging = self.logging(node, path);
        service.healthcheck = self.health(node, path);
        service.depends_on = dependencies(node);
        self.service_mounts(node, path, &mut service);
        self.service_network(node, path, &mut service);
        service.resources = self.resources(node, path);
        self.deploy(node, path, &mut service);
        self.orca(node, path, &mut service);
        self.image_is_given(node, path);
        self.unsupported(node, path);
        service
    }

    /// orca does not build.
    fn image_is_given(&mut self, node: &Node, path: &Path<'_>) {
        if node.get("image").is_none() && node.get("provider").is_none() {
            let at = node.get("build").unwrap_or(node);
            self.refuse(at.key, path, "orca does not build images: give the service an image")
                .hint("build it elsewhere and load it with `orca image load`");
        }
    }

    fn signal(&mut self, node: &Node, path: &Path<'_>) -> Option<String> {
        self.parsed(node, "stop_signal", path, "a signal, such as SIGTERM", |text| {
            is_signal(text).then(|| text.to_owned())
        })
    }

    fn pull_policy(&mut self, node: &Node, path: &Path<'_>) -> PullPolicy {
        let hours = |hours: u64| PullPolicy::Every(std::time::Duration::from_secs(hours * 3600));
        let policy = self.parsed(node, "pull_policy", path, "a pull policy", |text| {
            Some(match text {
                "missing" | "if_not_present" => PullPolicy::Missing,
                "always" | "refresh" => PullPolicy::Always,
                "never" => PullPolicy::Never,
                "build" => PullPolicy::Build,
                "daily" => hours(24),
                "weekly" => hours(7 * 24),
                text => PullPolicy::Every(parse_duration(text.strip_prefix("every_")?).ok()?),
            })
        });
        policy.unwrap_or_default()
    }

    fn storage(&mut self, node: &Node, path: &Path<'_>) -> BTreeMap<String, String> {
        let options = pairs(node, "storage_opt");
        let place = path.key("storage_opt");
        for (name, option) in members(node, "storage_opt") {
            let size = options.get(name).and_then(|text| parse_bytes(text).ok());
            if name != "size" {
                let message = "the one option of storage is `size`";
                self.refuse(option.mark, &place.key(name), message);
            } else if size.is_none_or(|size| size <= 0) {
                self.error(option.mark, &place.key(name), "not a size such as `10G`");
            }
        }
        options
    }

    fn volumes_from(&mut self, node: &Node, path: &Path<'_>) -> Vec<VolumesFrom> {
        let mut list = Vec::new();
        for (index, item) in items(node, "volumes_from").iter().enumerate() {
            let text = item.as_text().unwrap_or_default();
            let (name, mode) = match text.strip_prefix("container:") {
                Some(rest) => {
                    let (name, mode) =
                        rest.split_once(':').map_or((rest, None), |(n, m)| (n, Some(m)));
                    (format!("container:{name}"), mode)
                }
                None => {
                    let (name, mode) =
                        text.split_once(':').map_or((text, None), |(n, m)| (n, Some(m)));
                    (name.to_owned(), mode)
                }
            };
            if !matches!(mode, None | Some("ro" | "rw")) {
                let message = format!("{text:?} does not end with `:ro` or `:rw`");
                self.error(item.mark, &path.key("volumes_from").item(index), message);
            }
            list.push(VolumesFrom { service: name, read_only: mode == Some("ro") });
        }
        list
    }

    fn namespace(&mut self, node: &Node, name: &str, path: &Path<'_>) -> NamespaceMode {
        let mode = self.parsed(node, name, path, "a namespace", |text| {
            Some(match (name, text) {
                ("ipc", "shareable") => NamespaceMode::Shareable,
                ("ipc", "none") => NamespaceMode::None,
                (_, "host") => NamespaceMode::Host,
                (_, "private") => NamespaceMode::Private,
                (_, text) => match text.split_once(':') {
                    Some(("service", name)) if !name.is_empty() => {
                        NamespaceMode::Service(name.to_owned())
                    }
                    Some(("container", name)) if !name.is_empty() => {
                        NamespaceMode::Container(name.to_owned())
                    }
                    _ => return None,
                },
            })
        });
        if let Some(NamespaceMode::Service(service)) = &mode
            && let Some(member) = node.get(name)
        {
            self.service_exists(service, member.mark, &path.key(name));
        }
        mode.unwrap_or_default()
    }

    /// Tells if there is no such service.
    pub(super) fn service_exists(&mut self, name: &str, mark: Mark, path: &Path<'_>) {
        if members(self.root, "services").all(|(known, _)| known != name) {
            self.error(mark, path, format!("undefined service {name:?}"));
        }
    }

    fn logging(&mut self, node: &Node, path: &Path<'_>) -> Logging {
        let mut logging = Logging::default();
        let Some(node) = node.get("logging") else { return logging };
        let path = path.key("logging");
        match node.text_of("driver") {
            None | Some("json-file" | "local") => {}
            Some("none") => logging.enabled = false,
            Some(driver) => {
                let mark = node.get("driver").map_or(node.mark, |node| node.mark);
                let message =
                    format!("orca keeps the output itself; the driver {driver:?} is not used");
                self.warn(mark, &path.key("driver"), message);
                return logging;
            }
        }
        let options = path.key("options");
        for (name, member) in members(node, "options") {
            let text = member.scalar_text().unwrap_or_default();
            let path = options.key(name);
            match name.as_str() {
                "max-size" => match parse_bytes(&text) {
                    Ok(-1) => logging.max_size = u64::MAX,
                    Ok(size @ 1..) => {
                        logging.max_size = size.unsigned_abs();
                        if logging.max_size < LOG_MIN {
                            self.warn(member.mark, &path, "a log file has at least 64 KiB");
                        }
                    }
                    _ => {
                        self.error(member.mark, &path, format!("invalid size {text:?}"));
                    }
                },
                "max-file" => match text.parse() {
                    Ok(files @ 1..) => logging.max_files = files,
                    _ => {
                        self.error(
                            member.mark,
                            &path,
                            format!("{text:?} is not a number of files"),
                        );
                    }
                },
                "compress" | "mode" | "max-buffer-size" | "labels" | "labels-regex" | "env"
                | "env-regex" | "tag" => {}
                _ => {
                    self.warn(member.mark, &path, "this option is not used");
                }
            }
        }
        logging
    }

    fn health(&mut self, node: &Node, path: &Path<'_>) -> Option<HealthCheck> {
        let node = node.get("healthcheck")?;
        let path = path.key("healthcheck");
        let test = node.get("test").and_then(|test| self.probe(test, &path.key("test")));
        Some(HealthCheck {
            test,
            interval: duration(node, "interval"),
            timeout: duration(node, "timeout"),
            retries: unsigned(node, "retries").and_then(|number| u32::try_from(number).ok()),
            start_period: duration(node, "start_period"),
            start_interval: duration(node, "start_interval"),
            disable: flag(node, "disable"),
        })
    }

    fn probe(&mut self, node: &Node, path: &Path<'_>) -> Option<Probe> {
        let words: Vec<String> =
            node.as_list().unwrap_or_default().iter().filter_map(Node::scalar_text).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let probe = match words[..] {
            [] => return None,
            ["NONE", ..] => Ok(Probe::None),
            ["CMD", _, ..] => {
                Ok(Probe::Exec(words[1..].iter().map(|word| (*word).to_owned()).collect()))
            }
            ["CMD-SHELL", line] => Ok(Probe::Shell(line.to_owned())),
            ["HTTP", url] if url.starts_with("http://") => Ok(Probe::Http(url.to_owned())),
            ["HTTP", _] => Err("HTTP takes a URL, such as http://:8080/health"),
            ["TCP", port] => match port.trim_start_matches(':').parse() {
                Ok(port @ 1..) => Ok(Probe::Tcp(port)),
                _ => Err("TCP takes a port, such as 5432"),
            },
            ["CMD"] => Err("CMD takes a program and its arguments"),
            ["CMD-SHELL", line, ..] => {
                let message = "CMD-SHELL takes one line; the words after the first do nothing";
                self.warn(node.mark, path, message);
                Ok(Probe::Shell(line.to_owned()))
            }
            ["CMD-SHELL"] => Err("CMD-SHELL takes a line"),
            _ => Err("must begin with CMD, CMD-SHELL, HTTP, TCP or NONE"),
        };
        match probe {
            Ok(probe) => Some(probe),
            Err(message) => {
                self.error(node.mark, path, message);
                None
            }
        }
    }
}

/// The smallest size of a log file that is kept to.
const LOG_MIN: u64 = 64 << 10;

/// The names of Linux's signals, without `SIG`.
const SIGNALS: &str = "HUP INT QUIT ILL TRAP ABRT IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM \
    STKFLT CHLD CLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS";

/// Whether a text names a signal: `SIGTERM`, `TERM`, `15`, `RTMIN+3`.
fn is_signal(text: &str) -> bool {
    let upper = text.trim().to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |sign| {
        let first = if sign == '+' { "RTMIN" } else { "RTMAX" };
        short.strip_prefix(first).is_some_and(|rest| {
            let offset = rest.strip_prefix(sign).map(str::parse::<u8>);
            rest.is_empty() || matches!(offset, Some(Ok(0..=30)))
        })
    };
    upper.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number))
        || SIGNALS.split_whitespace().any(|name| name == short)
        || real_time('+')
        || real_time('-')
}

fn hooks(node: &Node, name: &str) -> Vec<Hook> {
    items(node, name)
        .iter()
        .map(|hook| Hook {
            command: texts(hook, "command"),
            user: text(hook, "user"),
            privileged: flag(hook, "privileged"),
            working_dir: text(hook, "working_dir"),
            environment: variables(hook, "environment"),
        })
        .collect()
}

fn devices(node: &Node) -> Vec<Device> {
    items(node, "devices")
        .iter()
        .map(|device| {
            let source = text(device, "source").unwrap_or_default();
            Device {
                target: text(device, "target").unwrap_or_else(|| source.clone()),
                permissions: text(device, "permissions").unwrap_or_else(|| "rwm".to_owned()),
                source,
            }
        })
        .collect()
}

/// `gpus`, and the devices that are reserved.
fn device_requests(node: &Node) -> Vec<DeviceRequest> {
    let reserved = ["deploy", "resources", "reservations"];
    let reserved = reserved.iter().try_fold(node, |node, name| node.get(name));
    let reserved = reserved.map(|node| items(node, "devices")).unwrap_or_default();
    let gpu = |request: &Node| {
        let mut request = device_request(request);
        if request.capabilities.is_empty() {
            request.capabilities.push("gpu".to_owned());
        }
        request
    };
    items(node, "gpus").iter().map(gpu).chain(reserved.iter().map(device_request)).collect()
}

fn device_request(node: &Node) -> DeviceRequest {
    DeviceRequest {
        driver: text(node, "driver").unwrap_or_default(),
        // -1 is what `all` becomes.
        count: unsigned(node, "count"),
        ids: texts(node, "device_ids"),
        capabilities: texts(node, "capabilities"),
        options: pairs(node, "options"),
    }
}

fn ulimits(node: &Node) -> Ulimits {
    members(node, "ulimits")
        .filter_map(|(name, limit)| {
            let limit = match limit.value {
                Value::Int(number) => {
                    let number = i64::try_from(number).ok()?;
                    Ulimit { soft: number, hard: number }
                }
                _ => Ulimit { soft: int(limit, "soft")?, hard: int(limit, "hard")? },
            };
            Some((name.clone(), limit))
        })
        .collect()
}

fn dependencies(node: &Node) -> std::collections::BTreeMap<String, Dependency> {
    members(node, "depends_on")
        .map(|(name, dependency)| {
            let condition = match dependency.text_of("condition") {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                _ => Condition::Started,
            };
            let dependency = Dependency {
                condition,
                restart: flag(dependency, "restart"),
                required: flag(dependency, "required"),
            };
            (name.clone(), dependency)
        })
        .collect()
}
