//! Flags, numbers, sizes and spans of time.

use super::Outcome::{Drop, Keep};
use super::{Finish, Outcome};
use crate::compose::interpolate::to_bool;
use crate::compose::tree::{Node, Path, Value};
use crate::compose::value::{parse_bytes, parse_duration, write_duration};

impl Finish<'_> {
    pub(super) fn flag(&mut self, node: &mut Node, path: &Path<'_>) -> Option<bool> {
        if let Value::Text(text) = &node.value {
            match to_bool(text) {
                Ok((flag, warning)) => {
                    node.value = Value::Bool(flag);
                    if let Some(warning) = warning {
                        self.problems.warning(node.mark, path, warning);
                    }
                }
                Err(message) => {
                    self.problems.error(node.mark, path, message);
                }
            }
        }
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn int(&mut self, node: &mut Node, path: &Path<'_>) -> Option<i64> {
        let number = match &node.value {
            Value::Int(number) => i64::try_from(*number).ok(),
            #[expect(clippy::cast_possible_truncation, reason = "as docker compose does")]
            Value::Float(number) => Some(*number as i64),
            Value::Text(text) => text.parse().ok(),
            Value::Null => return None,
            _ => None,
        };
        match number {
            Some(number) => node.value = Value::Int(number.into()),
            None => {
                let what = node.scalar_text().unwrap_or_default();
                let message = format!("{what:?} is not a whole number");
                self.problems.error(node.mark, path, message);
            }
        }
        number
    }

    pub(super) fn count(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        if node.as_text().is_some_and(|text| text.eq_ignore_ascii_case("all")) {
            node.value = Value::Int(-1);
        }
        match self.int(node, path) {
            Some(0) | None => Drop,
            Some(_) => Keep,
        }
    }

    /// Numbers with a fraction have the precision of 32 bits, as docker compose has them.
    pub(super) fn float(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        #[expect(clippy::cast_precision_loss, reason = "as docker compose does")]
        let number = match &node.value {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number.filter(|number| number.is_finite()) else {
            let what = node.scalar_text().unwrap_or_default();
            self.problems.error(node.mark, path, format!("{what:?} is not a number"));
            return Keep;
        };
        #[expect(clippy::cast_possible_truncation, reason = "as docker compose does")]
        let short = number as f32;
        node.value = Value::Float(short.to_string().parse().unwrap_or(number));
        if number == 0.0 { Drop } else { Keep }
    }

    pub(super) fn bytes(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        let bytes = match &node.value {
            Value::Int(number) => i64::try_from(*number).map_err(|_| "too large".to_owned()),
            Value::Text(text) => parse_bytes(text),
            Value::Float(number) => Err(format!("invalid size {number}: not a whole number")),
            _ => return Drop,
        };
        match bytes {
            Ok(0) => return Drop,
            Ok(bytes) => node.value = Value::Text(bytes.to_string()),
            Err(message) => {
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }

    pub(super) fn duration(
        &mut self,
        node: &mut Node,
        path: &Path<'_>,
        zero_is_nothing: bool,
    ) -> Outcome {
        let Some(text) = node.as_text() else { return Drop };
        match parse_duration(text) {
            Ok(duration) if duration.is_zero() && zero_is_nothing => return Drop,
            Ok(duration) => node.value = Value::Text(write_duration(duration)),
            Err(message) => {
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }

    pub(super) fn file_mode(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        let mode = match &node.value {
            Value::Int(number) => i64::try_from(*number).ok(),
            Value::Text(text) => i64::from_str_radix(text, 8).ok(),
            _ => None,
        };
        match mode.filter(|mode| (0..=0o7777).contains(mode)) {
            Some(mode) => node.value = Value::Text(format!("0{mode:o}")),
            None => {
                let what = node.scalar_text().unwrap_or_default();
                let message = format!("invalid mode {what:?}: must be octal, as in 0440");
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }
}
