//! `x-orca`: orca's own settings of a service.

use std::time::Duration;

use super::Decode;
use crate::compose::suggest::suggest;
use crate::compose::tree::{Node, Path};
use crate::compose::value::parse_duration;
use crate::model::Service;

impl Decode<'_> {
    /// Reads the extension.
    pub(super) fn orca(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        let Some(extension) = node.get("x-orca") else { return };
        let path = path.key("x-orca");
        let Some(map) = extension.as_map() else {
            let message = format!("must be a mapping, not {}", extension.kind());
            self.error(extension.mark, &path, message);
            return;
        };
        for (key, member) in map {
            let at = path.key(key);
            match key.as_str() {
                "restart" => self.orca_restart(member, &at, service),
                "on_unhealthy" => self.on_unhealthy(member, &at, service),
                "progress_deadline" => service.orca.progress_deadline = self.time(member, &at),
                "drain" => service.orca.drain = self.time(member, &at),
                _ => {
                    let known = ["restart", "on_unhealthy", "progress_deadline", "drain"];
                    self.unknown(key, member, &path, &known);
                }
            }
        }
    }

    fn orca_restart(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        let Some(map) = node.as_map() else {
            self.error(node.mark, path, format!("must be a mapping, not {}", node.kind()));
            return;
        };
        for (key, member) in map {
            match key.as_str() {
                "delay" => service.deploy.restart.delay = self.time(member, &path.key(key)),
                "max_delay" => service.deploy.restart.max_delay = self.time(member, &path.key(key)),
                _ => self.unknown(key, member, path, &["delay", "max_delay"]),
            }
        }
    }

    fn on_unhealthy(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        match node.as_text() {
            Some("restart") => service.deploy.restart.on_unhealthy = true,
            Some("none") => service.deploy.restart.on_unhealthy = false,
            _ => {
                let what = node.scalar_text().unwrap_or_else(|| node.kind().to_owned());
                let message = format!("invalid value {what:?}: must be one of restart, none");
                self.error(node.mark, path, message);
            }
        }
    }

    fn time(&mut self, node: &Node, path: &Path<'_>) -> Option<Duration> {
        let text = node.scalar_text().unwrap_or_default();
        match parse_duration(&text) {
            Ok(time) => Some(time),
            Err(message) => {
                self.error(node.mark, path, message);
                None
            }
        }
    }

    fn unknown(&mut self, key: &str, member: &Node, path: &Path<'_>, known: &[&str]) {
        let near = suggest(key, known);
        let problem = self.error(member.key, path, format!("unknown attribute {key:?}"));
        match near {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("known here: {}", known.join(", "))),
        };
    }
}
