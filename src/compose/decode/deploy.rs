//! `deploy`, `restart` and `scale`.

use super::Decode;
use super::fields::{duration, float, int, items, pairs, text, unsigned};
use crate::compose::tree::{Node, Path};
use crate::model::{
    DeployMode, FailureAction, RestartCondition, RestartPolicy, Service, UpdateOrder, UpdatePolicy,
};

impl Decode<'_> {
    /// How many containers, and how they change.
    pub(super) fn deploy(&mut self, node: &Node, path: &Path<'_>, service: &mut Service) {
        let empty = Node::default();
        let deploy = node.get("deploy").unwrap_or(&empty);
        let at = path.key("deploy");
        service.service_labels = pairs(deploy, "labels");
        service.deploy.mode = self
            .parsed(
                deploy,
                "mode",
                &at,
                "one of replicated, global, replicated-job, global-job",
                mode,
            )
            .unwrap_or_default();
        let replicas = int(node, "scale").or_else(|| int(deploy, "replicas"));
        service.deploy.replicas = replicas.and_then(|number| u32::try_from(number).ok());
        if replicas.is_some_and(|number| number > 10_000) {
            self.error(node.mark, path, "more than 10000 replicas");
        }
        service.deploy.restart = self.restart(node, deploy, path);
        if let Some(update) = deploy.get("update_config") {
            service.deploy.update = self.update(update, &at.key("update_config"));
        }
        service.deploy.rollback =
            deploy.get("rollback_config").map(|node| self.update(node, &at.key("rollback_config")));
        self.placement(deploy, &at);
        self.endpoint_mode(deploy, &at);
    }

    /// `deploy.restart_policy`, else `restart`, else "whatever ends is started again".
    fn restart(&mut self, node: &Node, deploy: &Node, path: &Path<'_>) -> RestartPolicy {
        let mut policy = RestartPolicy::default();
        if let Some(node) = deploy.get("restart_policy") {
            let at = path.key("deploy");
            let at = at.key("restart_policy");
            let condition =
                self.parsed(node, "condition", &at, "one of none, on-failure, any", |text| {
                    match text {
                        "none" => Some(RestartCondition::Never),
                        "on-failure" => Some(RestartCondition::OnFailure),
                        "any" => Some(RestartCondition::Any),
                        // Words of `restart` that docker compose takes here too.
                        "no" => Some(RestartCondition::Never),
                        "always" | "unless-stopped" => Some(RestartCondition::Any),
                        _ => None,
                    }
                });
            policy.condition = condition.unwrap_or_default();
            policy.even_if_stopped = node.text_of("condition") == Some("always");
            policy.delay = duration(node, "delay");
            policy.window = duration(node, "window").filter(|window| !window.is_zero());
            policy.max_attempts = unsigned(node, "max_attempts")
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| *number > 0);
            return policy;
        }
        let Some(restart) = node.get("restart") else { return policy };
        let text = restart.as_text().unwrap_or_default();
        let (word, attempts) = match text.split_once(':') {
            Some((word, attempts)) => (word, Some(attempts)),
            None => (text, None),
        };
        let attempts = attempts.map(str::parse::<u32>);
        match (word, attempts) {
            ("no", None) => policy.condition = RestartCondition::Never,
            ("always", None) => policy.even_if_stopped = true,
            ("unless-stopped", None) => {}
            ("on-failure", None) => policy.condition = RestartCondition::OnFailure,
            ("on-failure", Some(Ok(attempts))) => {
                policy.condition = RestartCondition::OnFailure;
                policy.max_attempts = Some(attempts).filter(|attempts| *attempts > 0);
            }
            _ => {
                let known = ["no", "always", "on-failure", "unless-stopped"];
                let message = format!(
                    "invalid restart {text:?}: must be one of {} or on-failure:<number>",
                    known.join(", ")
                );
                let near = crate::compose::suggest::suggest(word, &known);
                let problem = self.error(restart.mark, &path.key("restart"), message);
                if let Some(near) = near.filter(|near| *near != word) {
                    problem.hint(format!("did you mean `{near}`?"));
                }
            }
        }
        policy
    }

    fn update(&mut self, node: &Node, path: &Path<'_>) -> UpdatePolicy {
        let default = UpdatePolicy::default();
        let parallelism =
            unsigned(node, "parallelism").and_then(|number| u32::try_from(number).ok());
        let failure_action =
            self.parsed(node, "failure_action", path, "one of pause, continue, rollback", |text| {
                match text {
                    "pause" => Some(FailureAction::Pause),
                    "continue" => Some(FailureAction::Continue),
                    "rollback" => Some(FailureAction::Rollback),
                    _ => None,
                }
            });
        let ratio = float(node, "max_failure_ratio").unwrap_or(0.0);
        if !(0.0..=1.0).contains(&ratio) {
            let message = format!("max_failure_ratio must be from 0 to 1, not {ratio}");
            self.error(node.mark, path, message);
        }
        UpdatePolicy {
            parallelism: parallelism.unwrap_or(default.parallelism),
            delay: duration(node, "delay").unwrap_or(default.delay),
            failure_action,
            monitor: duration(node, "monitor"),
            max_failure_ppm: millionths(ratio),
            order: match node.text_of("order") {
                Some("start-first") => UpdateOrder::StartFirst,
                _ => UpdateOrder::StopFirst,
            },
        }
    }

    /// There is one machine: what asks for another one cannot be met.
    fn placement(&mut self, deploy: &Node, path: &Path<'_>) {
        let Some(placement) = deploy.get("placement") else { return };
        let path = path.key("placement");
        for item in items(placement, "constraints") {
            let text = item.as_text().unwrap_or_default();
            let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            if !matches!(plain.as_str(), "node.role==manager" | "node.platform.os==linux") {
                let message =
                    format!("there is one machine only: the constraint {text:?} is not looked at");
                self.warn(item.mark, &path.key("constraints"), message);
            }
        }
    }

    fn endpoint_mode(&mut self, deploy: &Node, path: &Path<'_>) {
        let Some(node) = deploy.get("endpoint_mode") else { return };
        let path = path.key("endpoint_mode");
        match text(deploy, "endpoint_mode").as_deref() {
            Some("dnsrr") => {}
            Some("vip") => {
                let message =
                    "virtual addresses are planned; names give the addresses of all replicas";
                self.warn(node.mark, &path, message);
            }
            other => {
                let message = format!("{:?} is not one of vip, dnsrr", other.unwrap_or_default());
                self.error(node.mark, &path, message);
            }
        }
    }
}

fn mode(text: &str) -> Option<DeployMode> {
    match text {
        "replicated" => Some(DeployMode::Replicated),
        "global" => Some(DeployMode::Global),
        "replicated-job" => Some(DeployMode::ReplicatedJob),
        "global-job" => Some(DeployMode::GlobalJob),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 1, and anything else was told"
)]
fn millionths(ratio: f64) -> u32 {
    (ratio * 1e6).round() as u32
}
