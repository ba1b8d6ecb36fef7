//! From text to [`crate::model::Project`]: the compose file format, with the place of every error.
//!
//! Pure but for reading the files it is pointed at. Knows nothing of what runs.

mod canonical;
mod config;
mod consistency;
mod decode;
mod diagnostic;
mod dotenv;
mod emit;
mod envfiles;
mod extends;
mod find;
mod finish;
mod include;
mod interpolate;
mod load;
mod loaded;
mod merge;
mod normalise;
mod numbers;
mod options;
mod paths;
mod reset;
mod rules;
mod schema;
mod select;
mod suggest;
mod support;
mod template;
mod tree;
mod unique;
mod value;

pub use config::{Config, config};
pub use diagnostic::{Diagnostic, Errors, Place, Related, Severity};
pub use loaded::{Loaded, load};
pub use options::{FileArg, LoadOptions};
pub use support::{Support, Verdict, json_schema, support_page};
pub use template::Variable;

#[cfg(test)]
mod tests;
