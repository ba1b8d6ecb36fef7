//! Variables of a whole document, and the casts of text that stands where a number or a boolean
//! belongs.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Problems;
use super::limits::MAX_TEXT;
use super::template::{TemplateError, substitute};
use super::tree::{Node, Path, Value};

/// The variables that files may use.
pub(crate) type Environment = BTreeMap<String, String>;

/// Replaces the variables in every text of a document; keys stay as they are.
pub(crate) fn interpolate(
    root: &mut Node,
    environment: &Environment,
    told: &mut BTreeSet<String>,
    problems: &mut Problems,
) {
    Walk { environment, told, problems, made: 0 }.node(root, &Path::ROOT);
}

struct Walk<'a> {
    environment: &'a Environment,
    told: &'a mut BTreeSet<String>,
    problems: &'a mut Problems,
    /// How much text values have made, in bytes.
    made: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, path: &Path<'_>) {
        match &mut node.value {
            Value::Map(map) => {
                for (key, member) in map.iter_mut() {
                    self.node(member, &path.key(key));
                }
            }
            Value::List(list) => {
                for (index, item) in list.iter_mut().enumerate() {
                    self.node(item, &path.item(index));
                }
            }
            Value::Text(_) => self.text(node, path),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    fn text(&mut self, node: &mut Node, path: &Path<'_>) {
        let Value::Text(text) = &node.value else { return };
        let before = text.len();
        if self.made > MAX_TEXT {
            return;
        }
        let mut unset = Vec::new();
        let environment = self.environment;
        let lookup = |name: &str| environment.get(name).cloned();
        let text = match substitute(text, &lookup, &mut unset) {
            Ok(text) => text,
            Err(error) => {
                let problem = self.problems.error(node.mark, path, error.to_string());
                if matches!(error, TemplateError::Invalid(_)) {
                    problem.hint("write `$$` for a dollar sign");
                }
                return;
            }
        };
        self.made += text.len().saturating_sub(before);
        if self.made > MAX_TEXT {
            let error = TemplateError::TooLong.to_string();
            self.problems.error(node.mark, path, error);
            return;
        }
        for name in unset {
            if self.told.insert(name.clone()) {
                let message =
                    format!("The {name:?} variable is not set. Defaulting to a blank string.");
                self.problems.warning(node.mark, path, message);
            }
        }
        node.value = match cast_of(path) {
            Some(cast) => match cast.apply(&text) {
                Ok((value, None)) => value,
                Ok((value, Some(warning))) => {
                    self.problems.warning(node.mark, path, warning);
                    value
                }
                Err(message) => {
                    self.problems.error(node.mark, path, message);
                    Value::Text(text)
                }
            },
            None => Value::Text(text),
        };
    }
}

/// What text becomes at some places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cast {
    Int,
    Float,
    Bool,
}

const CASTS: &[(&[&str], Cast)] = {
    use Cast::{Bool, Float, Int};
    &[
        (&["services", "*", "cpu_count"], Int),
        (&["services", "*", "cpu_percent"], Float),
        (&["services", "*", "cpu_period"], Int),
        (&["services", "*", "cpu_quota"], Int),
        (&["services", "*", "cpu_rt_period"], Int),
        (&["services", "*", "cpu_rt_runtime"], Int),
        (&["services", "*", "cpus"], Float),
        (&["services", "*", "cpu_shares"], Int),
        (&["services", "*", "init"], Bool),
        (&["services", "*", "deploy", "replicas"], Int),
        (&["services", "*", "deploy", "update_config", "parallelism"], Int),
        (&["services", "*", "deploy", "update_config", "max_failure_ratio"], Float),
        (&["services", "*", "deploy", "rollback_config", "parallelism"], Int),
        (&["services", "*", "deploy", "rollback_config", "max_failure_ratio"], Float),
        (&["services", "*", "deploy", "restart_policy", "max_attempts"], Int),
        (&["services", "*", "deploy", "placement", "max_replicas_per_node"], Int),
        (&["services", "*", "healthcheck", "retries"], Int),
        (&["services", "*", "healthcheck", "disable"], Bool),
        (&["services", "*", "oom_kill_disable"], Bool),
        (&["services", "*", "oom_score_adj"], Int),
        (&["services", "*", "pids_limit"], Int),
        (&["services", "*", "ports", "[]", "target"], Int),
        (&["services", "*", "privileged"], Bool),
        (&["services", "*", "read_only"], Bool),
        (&["services", "*", "scale"], Int),
        (&["services", "*", "stdin_open"], Bool),
        (&["services", "*", "tty"], Bool),
        (&["services", "*", "ulimits", "*"], Int),
        (&["services", "*", "ulimits", "*", "hard"], Int),
        (&["services", "*", "ulimits", "*", "soft"], Int),
        (&["services", "*", "volumes", "[]", "read_only"], Bool),
        (&["services", "*", "volumes", "[]", "volume", "nocopy"], Bool),
        (&["networks", "*", "external"], Bool),
        (&["networks", "*", "internal"], Bool),
        (&["networks", "*", "attachable"], Bool),
        (&["networks", "*", "enable_ipv4"], Bool),
        (&["networks", "*", "enable_ipv6"], Bool),
        (&["volumes", "*", "external"], Bool),
        (&["secrets", "*", "external"], Bool),
        (&["configs", "*", "external"], Bool),
    ]
};

fn cast_of(path: &Path<'_>) -> Option<Cast> {
    CASTS.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, cast)| *cast)
}

impl Cast {
    /// The value, with a warning where the form is out of use.
    fn apply(self, text: &str) -> Result<(Value, Option<String>), String> {
        match self {
            Self::Int => text
                .parse::<i64>()
                .map(|number| (Value::Int(number.into()), None))
                .map_err(|_| format!("{text:?} is not a whole number")),
            Self::Float => text
                .parse::<f64>()
                .map(|number| (Value::Float(number), None))
                .map_err(|_| format!("{text:?} is not a number")),
            Self::Bool => to_bool(text).map(|(flag, warning)| (Value::Bool(flag), warning)),
        }
    }
}

/// Text as a boolean, as YAML 1.1 had it.
pub(crate) fn to_bool(text: &str) -> Result<(bool, Option<String>), String> {
    let flag = match text.to_ascii_lowercase().as_str() {
        "true" => return Ok((true, None)),
        "false" => return Ok((false, None)),
        "y" | "yes" | "on" => true,
        "n" | "no" | "off" => false,
        _ => return Err(format!("invalid boolean {text:?}")),
    };
    let warning = format!("{text:?} for boolean is not supported by YAML 1.2, please use `{flag}`");
    Ok((flag, Some(warning)))
}
