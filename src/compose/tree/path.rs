//! Names of places inside a document: `services.web.ports[1]`.

use std::fmt;

/// A place inside a document, as a chain that lives on the stack of whoever walks the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
    depth: usize,
}

/// One step into a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Nowhere yet.
    Root,
    /// A member of a mapping.
    Key(&'a str),
    /// An item of a sequence.
    Item(usize),
}

impl<'a> Path<'a> {
    /// The document itself.
    pub(crate) const ROOT: Path<'static> = Path { parent: None, step: Step::Root, depth: 0 };

    /// A member's place.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key), depth: self.depth + 1 }
    }

    /// An item's place.
    pub(crate) fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(index), depth: self.depth + 1 }
    }

    /// Whether this is a member with this name.
    pub(crate) fn ends_with(&self, name: &str) -> bool {
        self.step == Step::Key(name)
    }

    /// Whether this is the place a pattern means: `*` is any member, `[]` any item.
    pub(crate) fn matches(&self, pattern: &[&str]) -> bool {
        if pattern.len() != self.depth {
            return false;
        }
        let mut at = self;
        for part in pattern.iter().rev() {
            let fits = match at.step {
                Step::Root => false,
                Step::Key(key) => *part == "*" || *part == key,
                Step::Item(_) => *part == "[]",
            };
            if !fits {
                return false;
            }
            match at.parent {
                Some(parent) => at = parent,
                None => return false,
            }
        }
        true
    }

    /// The steps from the root, as owned text; items as `[n]`.
    pub(crate) fn parts(&self) -> Vec<String> {
        let mut parts = Vec::with_capacity(self.depth);
        let mut at = Some(self);
        while let Some(path) = at {
            match path.step {
                Step::Root => {}
                Step::Key(key) => parts.push(key.to_owned()),
                Step::Item(index) => parts.push(format!("[{index}]")),
            }
            at = path.parent;
        }
        parts.reverse();
        parts
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
            if parent.depth > 0 && matches!(self.step, Step::Key(_)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => f.write_str(key),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}
