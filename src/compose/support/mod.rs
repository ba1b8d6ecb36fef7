//! What orca does with each attribute: the table, the verdict on a project, the page about it.
//!
//! The table is data. [`verdict`] looks up what the files of a project use; [`page`] writes
//! `docs/compose.md`. What depends on a value and not on the attribute alone is told by
//! [`decode`](super::decode), and the table says so in a note.

mod page;
mod schema;
mod table;
mod verdict;

use serde::Serialize;

pub use page::support_page;
pub use schema::json_schema;
pub use verdict::Verdict;

pub(crate) use table::{deploy_table, service_table, top_table};
pub(crate) use verdict::{refuse_and_warn, verdicts};

/// What orca does with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// All that it means.
    Full,
    /// Part of what it means; the note says which.
    Part,
    /// Nothing, and nothing is lost: it is about other tools or other systems.
    NoEffect,
    /// Nothing, with a warning.
    Ignored,
    /// Nothing yet, with a warning.
    Planned,
    /// Nothing: a project that uses it is not run.
    Refused,
}

impl Support {
    /// For tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "yes",
            Self::Part => "in part",
            Self::NoEffect => "no effect",
            Self::Ignored => "ignored",
            Self::Planned => "planned",
            Self::Refused => "refused",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// The attribute, below the table's own place.
    pub(crate) name: &'static str,
    /// What orca does with it.
    pub(crate) support: Support,
    /// What to know about it; may be empty.
    pub(crate) note: &'static str,
}
