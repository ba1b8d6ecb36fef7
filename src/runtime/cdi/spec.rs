//! What a description says: versions 0.3 to 1.0 of the specification.

use serde::Deserialize;

/// The versions that are understood.
const VERSIONS: [&str; 7] = ["0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0"];
/// How the options of a mount are understood. Others would change what it is.
const OPTIONS: [&str; 12] = [
    "bind", "rbind", "ro", "rw", "nosuid", "nodev", "private", "rprivate", "relatime", "defaults",
    "noatime", "exec",
];

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spec {
    pub cdi_version: String,
    /// `vendor.com/class`.
    pub kind: String,
    #[serde(default)]
    annotations: serde_json::Value,
    #[serde(default)]
    pub devices: Vec<Named>,
    /// For each of the devices.
    #[serde(default)]
    pub container_edits: Edits,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Named {
    pub name: String,
    #[serde(default)]
    annotations: serde_json::Value,
    #[serde(default)]
    pub container_edits: Edits,
}

/// What a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Edits {
    pub env: Vec<String>,
    pub device_nodes: Vec<Node>,
    pub mounts: Vec<Mount>,
    hooks: Vec<Hook>,
    #[serde(rename = "additionalGIDs", alias = "additionalGids")]
    pub additional_gids: Vec<u32>,
    intel_rdt: Option<serde_json::Value>,
}

/// A device file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Node {
    pub path: String,
    pub host_path: Option<String>,
    /// `b`, `c`, `u` or `p`. The host's file says which.
    #[serde(rename = "type")]
    kind: Option<String>,
    major: Option<i64>,
    minor: Option<i64>,
    file_mode: Option<u32>,
    pub permissions: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// A mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mount {
    pub host_path: String,
    pub container_path: String,
    #[serde(rename = "type")]
    kind: String,
    pub options: Vec<String>,
}

/// A program of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Hook {
    hook_name: String,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<i64>,
}

impl Spec {
    /// Whether it can be read at all; what of it cannot be done is told by [`Edits::check`].
    pub(super) fn check(&self) -> Result<(), String> {
        if !VERSIONS.contains(&self.cdi_version.as_str()) {
            return Err(format!(
                "version {:?} of the specification is not known here: {}",
                self.cdi_version,
                VERSIONS.join(", ")
            ));
        }
        if !super::is_name(&format!("{}=x", self.kind)) {
            return Err(format!("the kind {:?} is not of the form vendor/class", self.kind));
        }
        match self.devices.iter().find(|device| device.name.is_empty()) {
            Some(_) => Err("a device has no name".to_owned()),
            None => Ok(()),
        }
    }
}

impl Edits {
    /// What orca does not do of it, as a sentence's end.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(hook) = self.hooks.first() {
            return Err(format!(
                "the program {} of the host is to be run ({}), which orca never does: describe the \
                 device without hooks (`nvidia-ctk cdi generate --disable-hook all`)",
                hook.path, hook.hook_name
            ));
        }
        if self.intel_rdt.is_some() {
            return Err("a class of cache (intelRdt) is asked for, which orca does not set".into());
        }
        self.device_nodes.iter().try_for_each(Node::check)?;
        self.mounts.iter().try_for_each(Mount::check)
    }
}

impl Node {
    fn check(&self) -> Result<(), String> {
        let path = &self.path;
        if !path.starts_with('/') {
            return Err(format!("the device file {path:?} is not absolute"));
        }
        if self.file_mode.is_some() || self.uid.is_some() || self.gid.is_some() {
            return Err(format!(
                "{path} is to have another owner or mode than the host's file, which orca keeps"
            ));
        }
        match self.kind.as_deref() {
            None | Some("" | "b" | "c" | "u") => Ok(()),
            Some(kind) => Err(format!("{path} is to be of type {kind:?}, which is no device")),
        }
    }
}

impl Mount {
    fn check(&self) -> Result<(), String> {
        let Self { host_path, container_path, kind, options } = self;
        if !host_path.starts_with('/') || !container_path.starts_with('/') {
            return Err(format!("{host_path:?} or {container_path:?} is not absolute"));
        }
        if !matches!(kind.as_str(), "" | "none" | "bind") {
            return Err(format!("{container_path} is to be of type {kind:?}: orca binds only"));
        }
        match options.iter().find(|option| !OPTIONS.contains(&option.as_str())) {
            Some(option) => Err(format!("{container_path} has the option {option:?}")),
            None => Ok(()),
        }
    }
}
