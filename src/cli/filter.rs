//! Filters, `--filter key=value`, as docker's lists and prunes have them.

use crate::api::control::{LabelFilter, PruneFilter};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;
use crate::sys::clock;

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// Which.
    pub(super) key: String,
    /// What it asks for.
    pub(super) value: String,
    /// Whether it was written `key!=value`.
    pub(super) not: bool,
}

/// Reads `key=value` or `key!=value`.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    let bad = || format!("`{text}` is not a filter such as `label=shop` or `until=24h`");
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    let (key, not) = match key.strip_suffix('!') {
        Some(key) => (key, true),
        None => (key, false),
    };
    if key.is_empty() || (not && key != "label") {
        return Err(bad());
    }
    Ok(Filter { key: key.trim().to_owned(), value: value.trim().to_owned(), not })
}

/// The word for one that a command does not have.
pub(super) fn unknown(filter: &Filter, known: &str) -> CommandError {
    let Filter { key, .. } = filter;
    CommandError::bad_input(format!("there is no filter `{key}` here"))
        .with_hint(format!("there are {known}"))
}

impl Filter {
    /// What it says, if it is about a label.
    pub(super) fn label(&self) -> Option<LabelFilter> {
        if self.key != "label" && self.key != "label!" {
            return None;
        }
        let (key, value) = match self.value.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (self.value.as_str(), None),
        };
        Some(LabelFilter { key: key.to_owned(), value, without: self.not })
    }

    /// Whether it says yes.
    pub(super) fn truth(&self) -> Outcome<bool> {
        match self.value.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => {
                let message = format!("filter `{}` is true or false, not `{other}`", self.key);
                Err(CommandError::bad_input(message))
            }
        }
    }
}

/// What may be pruned: filters `until` (if it is allowed) and `label`.
pub(super) fn prune(filters: &[Filter], until: bool) -> Outcome<PruneFilter> {
    let mut prune = PruneFilter::default();
    for filter in filters {
        match (filter.key.as_str(), filter.label()) {
            (_, Some(label)) => prune.labels.push(label),
            ("until", None) if until => {
                let moment = format::moment(&filter.value, clock::wall());
                prune.before = Some(moment.map_err(CommandError::bad_input)?);
            }
            _ if until => return Err(unknown(filter, "until, label and label!")),
            _ => return Err(unknown(filter, "label and label!")),
        }
    }
    Ok(prune)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_keys_with_values() {
        let read = |text: &str| filter(text).map(|f| (f.key, f.value, f.not));
        assert_eq!(read("until=24h"), Ok(("until".into(), "24h".into(), false)));
        assert_eq!(read("label=a=b"), Ok(("label".into(), "a=b".into(), false)));
        assert_eq!(read("label!=a"), Ok(("label".into(), "a".into(), true)));
        for text in ["", "until", "=x", "until!=1h"] {
            read(text).unwrap_err();
        }
    }

    #[test]
    fn labels_are_asked_for_or_not_wanted() {
        let filters = ["label=a=b", "label!=c", "until=1h"].map(|text| filter(text).unwrap());
        let prune = prune(&filters, true).unwrap();
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        assert!(prune.fits(None, &labels(&[("a", "b")])));
        assert!(!prune.fits(Some(clock::wall()), &labels(&[("a", "b")])));
        assert!(!prune.fits(None, &labels(&[("a", "x")])));
        assert!(!prune.fits(None, &labels(&[("a", "b"), ("c", "")])));
    }
}
