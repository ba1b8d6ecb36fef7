//! Attributes that the grammar knows and orca does not do. None of them is passed over in silence.

use super::Decode;
use super::fields::{flag, int, items};
use crate::compose::load::members;
use crate::compose::tree::{Node, Path};

/// Attributes of a service without which it would be another service, and what to say.
const REFUSED: &[(&str, &str)] =
    &[("credential_spec", "credential specifications are a thing of Windows")];

/// Attributes of a service that it can do without, and what to say.
const WARNED: &[(&str, &str)] = &[
    ("develop", "orca does not watch files: this is not used"),
    ("cpu_count", "a thing of Windows: this is not used"),
    ("cpu_percent", "a thing of Windows: this is not used"),
];

/// Attributes with words that say what orca does anyway, and what to say of other words.
const ANYWAY: &[(&str, &[&str], &str)] = &[
    ("userns_mode", &["host"], "each stack has users of its own"),
    ("isolation", &["default"], "orca has no kinds of isolation"),
    ("runtime", &["runc", "io.containerd.runc.v2", "orca"], "orca has its own runtime"),
];

/// Attributes of `deploy.update_config` that wait for a later version.
const UPDATE: &[&str] = &["delay", "failure_action", "monitor", "max_failure_ratio"];

impl Decode<'_> {
    /// Tells what orca does not do of what a service asks for.
    pub(super) fn unsupported(&mut self, node: &Node, path: &Path<'_>) {
        for (name, message) in REFUSED {
            if let Some(member) = node.get(name) {
                self.refuse(member.key, &path.key(name), *message);
            }
        }
        for (name, message) in WARNED {
            self.not_used(node, name, path, message);
        }
        for (name, known, message) in ANYWAY {
            let Some(member) = node.get(name) else { continue };
            let word = member.as_text().unwrap_or_default();
            if !known.contains(&word) {
                let message = format!("{message}: {word:?} cannot be had");
                self.refuse(member.mark, &path.key(name), message);
            }
        }
        if flag(node, "privileged") {
            let message = "there is no boundary between a privileged container and the host";
            if let Some(member) = node.get("privileged") {
                self.warn(member.key, &path.key("privileged"), message);
            }
        }
        if let (Some(build), Some(image)) = (node.get("build"), node.text_of("image")) {
            let message = format!("orca does not build: the image {image} is used as it is");
            self.warn(build.key, &path.key("build"), message);
        }
        self.platform(node, path);
        self.volumes_of_containers(node, path);
        self.mount_options(node, path);
        self.attachments(node, path);
        self.logging_labels(node, path);
        if let Some(deploy) = node.get("deploy") {
            self.updates(deploy, &path.key("deploy"));
            self.reservations(deploy, &path.key("deploy"));
            self.spreading(deploy, &path.key("deploy"));
        }
        if let Some(own) = node.get("x-orca") {
            for name in ["progress_deadline", "drain"] {
                self.not_used(own, name, &path.key("x-orca"), "planned, and not used yet");
            }
        }
    }

    fn not_used(&mut self, node: &Node, name: &str, path: &Path<'_>, message: &str) {
        if let Some(member) = node.get(name) {
            self.warn(member.key, &path.key(name), message);
        }
    }

    fn platform(&mut self, node: &Node, path: &Path<'_>) {
        let Some(member) = node.get("platform") else { return };
        let word = member.as_text().unwrap_or_default();
        let machine = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let wanted = word.strip_prefix("linux/").unwrap_or(word);
        let wanted = wanted.split('/').next().unwrap_or_default();
        if !matches!(
            (wanted, machine),
            ("linux" | "x86_64", "amd64") | ("linux" | "aarch64", "arm64")
        ) && wanted != machine
        {
            let message = format!("this machine is linux/{machine}: {word:?} is not looked for");
            self.warn(member.mark, &path.key("platform"), message);
        }
    }

    fn volumes_of_containers(&mut self, node: &Node, path: &Path<'_>) {
        let path = path.key("volumes_from");
        for (index, item) in items(node, "volumes_from").iter().enumerate() {
            if item.as_text().is_some_and(|text| text.starts_with("container:")) {
                let message = "volumes of containers of other projects are not supported";
                self.refuse(item.mark, &path.item(index), message)
                    .hint("name a service of this file, or share a named volume");
            }
        }
    }

    fn mount_options(&mut self, node: &Node, path: &Path<'_>) {
        let path = path.key("volumes");
        for (index, item) in items(node, "volumes").iter().enumerate() {
            let path = path.item(index);
            if let Some(bind) = item.get("bind") {
                let path = path.key("bind");
                let word = bind.text_of("recursive").unwrap_or_default();
                if let Some(member) = bind.get("recursive").filter(|_| word == "writable") {
                    let message = "mounts below a read-only one are read-only as well";
                    self.refuse(member.mark, &path.key("recursive"), message);
                }
                self.not_used(bind, "selinux", &path, "orca sets no SELinux labels");
            }
            if let Some(volume) = item.get("volume") {
                let message = "labels belong to the volume at the top level: these are not used";
                self.not_used(volume, "labels", &path.key("volume"), message);
            }
        }
    }

    fn attachments(&mut self, node: &Node, path: &Path<'_>) {
        let path = path.key("networks");
        for (name, attachment) in members(node, "networks") {
            let path = path.key(name);
            if let Some(member) = attachment.get("link_local_ips") {
                let message = "link-local addresses are not supported";
                self.refuse(member.key, &path.key("link_local_ips"), message);
            }
            for (name, option) in members(attachment, "driver_opts") {
                self.warn(
                    option.mark,
                    &path.key("driver_opts").key(name),
                    "this option is not used",
                );
            }
        }
    }

    fn logging_labels(&mut self, node: &Node, path: &Path<'_>) {
        let Some(logging) = node.get("logging") else { return };
        let path = path.key("logging");
        for (name, option) in members(logging, "options") {
            if matches!(name.as_str(), "labels" | "labels-regex" | "env" | "env-regex" | "tag") {
                let message = "lines of the log carry nothing more: this option is not used";
                self.warn(option.mark, &path.key("options").key(name), message);
            }
        }
    }

    fn updates(&mut self, deploy: &Node, path: &Path<'_>) {
        if let Some(update) = deploy.get("update_config") {
            let path = path.key("update_config");
            for name in UPDATE {
                self.not_used(update, name, &path, "planned, and not used yet");
            }
            if update.text_of("order") == Some("start-first") {
                let message = "planned: for now the old container stops before the new one starts";
                self.not_used(update, "order", &path, message);
            }
        }
        self.not_used(deploy, "rollback_config", path, "planned, and not used yet");
    }

    fn reservations(&mut self, deploy: &Node, path: &Path<'_>) {
        let Some(reserved) = deploy.get("resources").and_then(|node| node.get("reservations"))
        else {
            return;
        };
        let path = path.key("resources");
        let path = path.key("reservations");
        let message = "there is one machine only: nothing is set aside on it";
        for name in ["cpus", "generic_resources"] {
            self.not_used(reserved, name, &path, message);
        }
    }

    fn spreading(&mut self, deploy: &Node, path: &Path<'_>) {
        let Some(placement) = deploy.get("placement") else { return };
        let path = path.key("placement");
        self.not_used(placement, "preferences", &path, "there is one machine only");
        let (most, wanted) = (int(placement, "max_replicas_per_node"), int(deploy, "replicas"));
        if let (Some(most @ 1..), Some(wanted)) = (most, wanted)
            && wanted > most
        {
            let message =
                format!("{wanted} replicas do not fit on one machine with at most {most}");
            self.error(placement.mark, &path.key("max_replicas_per_node"), message);
        }
    }

    /// Tells what orca does not do of what a network asks for.
    pub(super) fn unsupported_network(&mut self, node: &Node, path: &Path<'_>) {
        let Some(ipam) = node.get("ipam") else { return };
        let path = path.key("ipam");
        for (name, option) in members(ipam, "options") {
            self.warn(option.mark, &path.key("options").key(name), "this option is not used");
        }
        if flag(node, "external") {
            return;
        }
        let path = path.key("config");
        let mut seen = [false; 2];
        for (index, pool) in items(ipam, "config").iter().enumerate() {
            let Some(subnet) = pool.text_of("subnet") else { continue };
            let kind = usize::from(subnet.contains(':'));
            if std::mem::replace(&mut seen[kind], true) {
                let message = "a network has one subnet of each kind: this one is not supported";
                self.refuse(pool.mark, &path.item(index), message);
            }
        }
    }
}
