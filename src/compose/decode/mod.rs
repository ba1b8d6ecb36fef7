//! From a finished document to [`Project`]: every field filled, every word checked that the grammar
//! leaves open.
//!
//! What is wrong becomes a problem; what orca does not do becomes a refusal (it would change the
//! meaning) or a warning (it would not).

mod deploy;
mod fields;
mod mounts;
mod network;
mod orca;
mod resources;
mod service;
mod top;
mod unsupported;

use super::diagnostic::{Diagnostic, Failed, Problem, Problems, Severity};
use super::load::{Loader, members};
use super::support::refuse_and_warn;
use super::tree::{Mark, Node, Path};
use crate::model::{Attachment, Network, NetworkMode, Project, Service};

/// The project of a finished document, and what must not go on to run.
pub(crate) fn decode(
    root: &Node,
    mut project: Project,
    loader: &mut Loader<'_>,
) -> Result<(Project, Vec<Diagnostic>), Failed> {
    let mut refused = Problems::default();
    let mut decode = Decode { root, problems: &mut loader.problems, refused: &mut refused };
    decode.top(&mut project);
    let services = Path::ROOT.key("services");
    for (name, service) in members(root, "services") {
        let mut decoded = decode.service(service, &services.key(name));
        if decoded.network_mode == NetworkMode::Networks && decoded.networks.is_empty() {
            join_default(&mut decoded, &mut project);
        }
        project.services.insert(name.clone(), decoded);
    }
    refuse_and_warn(root, &mut refused, &mut loader.problems);
    loader.problems.check()?;
    Ok((project, refused.diagnostics(Severity::Error, &loader.sources)))
}

/// `network_mode: bridge` is the engine's own bridge; here it is the project's default network.
fn join_default(service: &mut Service, project: &mut Project) {
    let default = || Network { name: format!("{}_default", project.name), ..Network::default() };
    project.networks.entry("default".to_owned()).or_insert_with(default);
    service.networks.insert("default".to_owned(), Attachment::default());
}

/// What decoding carries along.
struct Decode<'a> {
    root: &'a Node,
    problems: &'a mut Problems,
    refused: &'a mut Problems,
}

impl Decode<'_> {
    /// Something wrong.
    fn error(&mut self, mark: Mark, path: &Path<'_>, message: impl Into<String>) -> &mut Problem {
        self.problems.error(mark, path, message)
    }

    /// Something that orca does not do and that matters.
    fn refuse(&mut self, mark: Mark, path: &Path<'_>, message: impl Into<String>) -> &mut Problem {
        self.refused.error(mark, path, message)
    }

    /// Something that orca does not do and that does not matter.
    fn warn(&mut self, mark: Mark, path: &Path<'_>, message: impl Into<String>) -> &mut Problem {
        self.problems.warning(mark, path, message)
    }

    /// A text that must be of a form.
    fn parsed<T>(
        &mut self,
        node: &Node,
        name: &str,
        path: &Path<'_>,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let member = node.get(name)?;
        let text = member.as_text()?;
        let value = read(text);
        if value.is_none() {
            let message = format!("{text:?} is not {what}");
            self.error(member.mark, &path.key(name), message);
        }
        value
    }
}
