//! How large a project may become: a few lines must not grow into gigabytes.
//!
//! Every file is small by itself. What `extends`, `include`, `env_file` and variables make of it is
//! counted here, in nodes; text counts for as many nodes as it has room for.

use super::diagnostic::Failed;
use super::load::Loader;
use super::tree::{Mark, Node, Path, Value};

/// The most nodes of all files together, with what they are put together to.
pub(crate) const MAX_NODES: usize = 300_000;
/// The longest text that variables may make, in bytes.
pub(crate) const MAX_TEXT: usize = 4 << 20;
/// The most ports of one document, ranges spread out.
pub(crate) const MAX_PORTS: usize = 25_000;
/// The most words of all commands.
pub(crate) const MAX_WORDS: usize = 100_000;

/// So much text counts as one node.
const TEXT_OF_A_NODE: usize = 128;

/// How many nodes this is.
pub(crate) fn size(node: &Node) -> usize {
    match &node.value {
        Value::Text(text) => 1 + text.len() / TEXT_OF_A_NODE,
        Value::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.values().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 1,
    }
}

/// How many nodes text of this length counts for.
pub(crate) fn size_of_text(length: usize) -> usize {
    1 + length / TEXT_OF_A_NODE
}

impl Loader<'_> {
    /// Counts what was added at a place.
    ///
    /// # Errors
    /// If all is too much now.
    pub(crate) fn grow(&mut self, by: usize, mark: Mark, path: &Path<'_>) -> Result<(), Failed> {
        self.size = self.size.saturating_add(by);
        if self.size <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the project becomes too large here: more than {MAX_NODES} nodes");
        self.problems.error(mark, path, message);
        Err(Failed)
    }
}
