//! A project on its way: the JSON of the model, with a version.

use std::time::Duration;

use super::{BadMessage, nanos};
use crate::api::message::{Recreate, Up};
use crate::api::proto;
use crate::model::Project;

/// The version of the JSON.
const PROJECT_FORMAT: u32 = 1;

impl TryFrom<&Up> for proto::ApplyRequest {
    type Error = BadMessage;

    fn try_from(up: &Up) -> Result<Self, BadMessage> {
        let bad = |error: serde_json::Error| BadMessage {
            field: "project",
            problem: format!("cannot be written as JSON: {error}"),
        };
        Ok(Self {
            project: serde_json::to_vec(&up.project).map_err(bad)?,
            project_format: PROJECT_FORMAT,
            services: up.services.clone(),
            no_deps: up.no_deps,
            recreate: proto::Recreate::from(up.recreate).into(),
            no_start: up.no_start,
            grace_nanos: up.grace.map(nanos),
        })
    }
}

impl TryFrom<proto::ApplyRequest> for Up {
    type Error = BadMessage;

    fn try_from(request: proto::ApplyRequest) -> Result<Self, BadMessage> {
        if request.project_format != PROJECT_FORMAT {
            let problem = format!(
                "is in format {}, and this daemon reads format {PROJECT_FORMAT}: `orca` and its \
                 daemon must be of the same version",
                request.project_format
            );
            return Err(BadMessage { field: "project", problem });
        }
        let recreate = request.recreate().into();
        let project: Project = serde_json::from_slice(&request.project)
            .map_err(|error| BadMessage { field: "project", problem: error.to_string() })?;
        let proto::ApplyRequest { services, no_deps, no_start, grace_nanos, .. } = request;
        let grace = grace_nanos.map(Duration::from_nanos);
        Ok(Self { project, services, no_deps, recreate, no_start, grace })
    }
}

impl From<Recreate> for proto::Recreate {
    fn from(recreate: Recreate) -> Self {
        match recreate {
            Recreate::Changed => Self::Changed,
            Recreate::Always => Self::Always,
            Recreate::Never => Self::Never,
        }
    }
}

impl From<proto::Recreate> for Recreate {
    fn from(recreate: proto::Recreate) -> Self {
        match recreate {
            proto::Recreate::Changed => Self::Changed,
            proto::Recreate::Always => Self::Always,
            proto::Recreate::Never => Self::Never,
        }
    }
}
