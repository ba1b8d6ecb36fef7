//! An `up` of some services: what the caller leaves alone keeps its agreed form.

use std::collections::BTreeSet;

use super::control::{Answer, Apply, ControlError};
use super::message::{Recreate, Up};
use crate::model::{Project, Stack};

/// The whole stack as it is to be, from what a caller wants and what is agreed.
///
/// # Errors
/// If a named service is not in the project.
pub(super) fn narrow(up: Up, agreed: Option<&Stack>) -> Answer<Apply> {
    if up.project.name.is_empty() {
        return Err(ControlError::invalid_input("the project has no name"));
    }
    let chosen = chosen(&up)?;
    let untouched = BTreeSet::new();
    let stopped = agreed.map_or(&untouched, |stack| &stack.stopped);
    let recreate = match up.recreate {
        Recreate::Always => chosen.iter().cloned().collect(),
        Recreate::Changed | Recreate::Never => Vec::new(),
    };
    let (start, hold) = if up.no_start {
        let here = |name: &String| agreed.is_some_and(|a| a.project.services.contains_key(name));
        (Vec::new(), chosen.iter().filter(|name| !here(name)).cloned().collect())
    } else {
        (chosen.intersection(stopped).cloned().collect(), Vec::new())
    };
    let grace = up.grace;
    let project = match agreed {
        Some(stack) => merged(up, &chosen, &stack.project),
        None => only(up.project, &chosen),
    };
    Ok(Apply { project, recreate, start, hold, grace })
}

impl Up {
    /// The services that are meant: those named, and all that they depend on.
    ///
    /// # Errors
    /// If a named service is not in the project.
    pub fn chosen(&self) -> Answer<BTreeSet<String>> {
        chosen(self)
    }
}

fn chosen(up: &Up) -> Answer<BTreeSet<String>> {
    let known = &up.project.services;
    if up.services.is_empty() {
        return Ok(known.keys().cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    let mut next: Vec<&String> = up.services.iter().collect();
    while let Some(name) = next.pop() {
        let Some(service) = known.get(name) else {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            return Err(ControlError::invalid_input(format!("there is no service `{name}`"))
                .with_hint(format!("the services are: {}", names.join(", "))));
        };
        if chosen.insert(name.clone()) && !up.no_deps {
            // A dependency that is not required may be switched off by its profile.
            next.extend(service.depends_on.keys().filter(|name| known.contains_key(*name)));
        }
    }
    Ok(chosen)
}

/// The project with only the chosen services.
fn only(mut project: Project, chosen: &BTreeSet<String>) -> Project {
    project.services.retain(|name, _| chosen.contains(name));
    project
}

/// The new form of the chosen services beside the agreed form of the rest. Services that are gone
/// from the file go, but only when the caller named no services.
fn merged(up: Up, chosen: &BTreeSet<String>, agreed: &Project) -> Project {
    let partial = !up.services.is_empty();
    let keep = |name: &str| match up.recreate {
        Recreate::Never => true,
        Recreate::Changed | Recreate::Always => partial && !chosen.contains(name),
    };
    let mut project = only(up.project, chosen);
    for (name, service) in &agreed.services {
        let known = project.services.contains_key(name);
        if keep(name) && (known || partial) || service.one_off.is_some() {
            project.services.insert(name.clone(), service.clone());
        }
    }
    let has_one_offs = project.services.values().any(|service| service.one_off.is_some());
    if partial || has_one_offs || up.recreate == Recreate::Never {
        keep_what_they_name(&mut project, agreed);
    }
    project
}

/// Services in their agreed form may name networks, volumes, configs and secrets that the new file
/// does not have any more.
fn keep_what_they_name(project: &mut Project, agreed: &Project) {
    for (key, network) in &agreed.networks {
        project.networks.entry(key.clone()).or_insert_with(|| network.clone());
    }
    for (key, volume) in &agreed.volumes {
        project.volumes.entry(key.clone()).or_insert_with(|| volume.clone());
    }
    for (key, source) in &agreed.configs {
        project.configs.entry(key.clone()).or_insert_with(|| source.clone());
    }
    for (key, source) in &agreed.secrets {
        project.secrets.entry(key.clone()).or_insert_with(|| source.clone());
    }
}

#[cfg(test)]
mod tests;
