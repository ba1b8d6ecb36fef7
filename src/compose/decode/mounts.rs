//! Mounts, configs and secrets of a service.

use std::path::PathBuf;

use super::Decode;
use super::fields::{flag, int, items, optional_flag, size, text};
use crate::compose::tree::{Node, Path};
use crate::compose::value::{clean_path, parse_bytes};
use crate::model::{FileMount, Mount, MountSource, Service};

impl Decode<'_> {
    /// All that is mounted.
    pub(super) fn service_mounts(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        let volumes = path.key("volumes");
        for (index, item) in items(node, "volumes").iter().enumerate() {
            service.mounts.extend(self.mount(item, &volumes.item(index)));
        }
        let tmpfs = path.key("tmpfs");
        for (index, item) in items(node, "tmpfs").iter().enumerate() {
            service.mounts.extend(self.tmpfs(item, &tmpfs.item(index)));
        }
        service.configs = self.file_mounts(node, "configs", "/", path);
        service.secrets = self.file_mounts(node, "secrets", "/run/secrets/", path);
    }

    fn mount(&mut self, node: &Node, path: &Path<'_>) -> Option<Mount> {
        let target = self.target(node, path)?;
        let source = text(node, "source");
        let source = match node.text_of("type").unwrap_or_default() {
            "bind" => self.bind(node, source, path)?,
            "volume" => {
                let options = node.get("volume");
                match source {
                    Some(volume) => MountSource::Volume {
                        volume,
                        subpath: options.and_then(|options| text(options, "subpath")),
                        nocopy: options.is_some_and(|options| flag(options, "nocopy")),
                    },
                    None => MountSource::Anonymous,
                }
            }
            "tmpfs" => {
                let options = node.get("tmpfs");
                MountSource::Tmpfs {
                    size: options.and_then(|options| size(options, "size")),
                    mode: options
                        .and_then(|options| int(options, "mode"))
                        .and_then(|mode| u32::try_from(mode).ok()),
                    options: Vec::new(),
                }
            }
            "image" => {
                let Some(image) = source else {
                    self.error(node.mark, path, "a mount of type image needs a source");
                    return None;
                };
                let subpath = node.get("image").and_then(|options| text(options, "subpath"));
                MountSource::Image { image, subpath }
            }
            other => {
                self.refuse(node.mark, path, format!("orca has no mounts of type {other}"));
                return None;
            }
        };
        Some(Mount { target, read_only: flag(node, "read_only"), source })
    }

    fn target(&mut self, node: &Node, path: &Path<'_>) -> Option<String> {
        let Some(target) = node.get("target") else {
            self.error(node.mark, path, "target is missing");
            return None;
        };
        let text = target.as_text().unwrap_or_default();
        self.absolute_target(text, target, path)
    }

    fn absolute_target(&mut self, text: &str, node: &Node, path: &Path<'_>) -> Option<String> {
        let clean = clean_path(text);
        if !clean.starts_with('/') || clean == "/" {
            let message = format!("invalid path {text:?} in the container");
            self.error(node.mark, path, message).hint("it must be absolute, and not `/`");
            return None;
        }
        Some(clean)
    }

    fn bind(
        &mut self,
        node: &Node,
        source: Option<String>,
        path: &Path<'_>,
    ) -> Option<MountSource> {
        let Some(source) = source else {
            self.error(node.mark, path, "a mount of type bind needs a source");
            return None;
        };
        let options = node.get("bind");
        let propagation = options.and_then(|options| text(options, "propagation"));
        let known = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
        if let Some(word) = propagation.as_deref().filter(|word| !known.contains(word)) {
            let message =
                format!("invalid propagation {word:?}: must be one of {}", known.join(", "));
            self.error(node.mark, path, message);
        }
        let recursive = options.and_then(|options| options.text_of("recursive"));
        Some(MountSource::Bind {
            path: PathBuf::from(source),
            // An absent `create_host_path` is "yes", as the engine behind docker compose has it.
            create: options.is_none_or(|options| !denied(options)),
            propagation,
            recursive: recursive != Some("disabled"),
        })
    }

    fn tmpfs(&mut self, node: &Node, path: &Path<'_>) -> Option<Mount> {
        let text = node.as_text().unwrap_or_default();
        let (target, list) = text.split_once(':').unwrap_or((text, ""));
        let target = self.absolute_target(target, node, path)?;
        let (mut size, mut mode, mut options, mut read_only) = (None, None, Vec::new(), false);
        for option in list.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", value)) => match parse_bytes(value) {
                    Ok(bytes @ 0..) => size = Some(bytes.unsigned_abs()),
                    _ => {
                        self.error(node.mark, path, format!("invalid size {value:?}"));
                    }
                },
                Some(("mode", value)) => match u32::from_str_radix(value, 8) {
                    Ok(bits) => mode = Some(bits),
                    Err(_) => {
                        self.error(node.mark, path, format!("invalid mode {value:?}"));
                    }
                },
                None if option == "ro" => read_only = true,
                None if option == "rw" => {}
                _ => options.push(option.to_owned()),
            }
        }
        Some(Mount { target, read_only, source: MountSource::Tmpfs { size, mode, options } })
    }

    fn file_mounts(
        &mut self,
        node: &Node,
        name: &str,
        directory: &str,
        path: &Path<'_>,
    ) -> Vec<FileMount> {
        let path = path.key(name);
        let mut list = Vec::new();
        for (index, item) in items(node, name).iter().enumerate() {
            let path = path.item(index);
            let source = text(item, "source").unwrap_or_default();
            let target = match item.text_of("target") {
                Some(target) if target.starts_with('/') => target.to_owned(),
                Some(target) => format!("{directory}{target}"),
                None => format!("{directory}{source}"),
            };
            let number = |text: &str| text.parse::<u32>().ok();
            let uid = self.parsed(item, "uid", &path, "a number", number).unwrap_or(0);
            let gid = self.parsed(item, "gid", &path, "a number", number).unwrap_or(0);
            let mode = item.text_of("mode").and_then(|text| u32::from_str_radix(text, 8).ok());
            let mode = mode.unwrap_or(0o444);
            if let Some(target) = self.absolute_target(&target, item, &path) {
                list.push(FileMount { source, target, uid, gid, mode });
            }
        }
        list
    }
}

fn denied(options: &Node) -> bool {
    optional_flag(options, "create_host_path") == Some(false)
}
