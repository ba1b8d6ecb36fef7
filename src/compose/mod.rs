//! From text to [`crate::model::Project`]: the compose file format, with the place of every error.
//!
//! Pure but for reading the files it is pointed at. Knows nothing of what runs.
//!
//! [`load`] gives a checked project, with what orca would not honour of it; [`config()`] gives it as a
//! document, in the bytes that docker compose prints. Neither reads anything of the process: the
//! variables and the directory are handed in with [`LoadOptions`]. What is wrong comes back all at
//! once, each with its place.
//!
//! ```
//! use orca::compose::{FileArg, LoadOptions, config, load};
//!
//! let text = "services: {web: {image: 'nginx:${TAG:-1.27}', ports: ['80:80']}}";
//! let options = LoadOptions {
//!     files: vec![FileArg::Stdin(text.to_owned())],
//!     project_name: Some("shop".to_owned()),
//!     working_directory: "/srv".into(),
//!     ..LoadOptions::default()
//! };
//! let loaded = load(&options).expect("the file is right");
//! assert_eq!(loaded.project.services["web"].image.to_string(), "nginx:1.27");
//! assert!(loaded.refusals.is_empty());
//! assert!(config(&options).expect("the file is right").yaml().starts_with("name: shop\n"));
//!
//! let wrong = FileArg::Stdin("services: {web: {imgae: nginx}}".to_owned());
//! let errors = load(&LoadOptions { files: vec![wrong], ..options }).unwrap_err();
//! let error = &errors.0[0];
//! assert_eq!(error.headline(), "-:1:18: services.web: unknown attribute \"imgae\"");
//! assert_eq!(error.hint.as_deref(), Some("did you mean `image`?"));
//! ```

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
mod limits;
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
pub mod short;
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
