//! The program, its user and its rights.

use std::ffi::CString;

use super::super::capabilities::{self, CapSet};
use super::super::init::LIMITS;
use super::super::plan::{Capabilities, ProcessPlan, Tuning};
use super::security::Security;
use super::{Unfit, text};
use crate::model::{Container, Ulimits};

/// Where programs are looked for when nobody says, as in Docker.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A further program in a container.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct ExecWish<'a> {
    /// Program and arguments.
    pub args: &'a [String],
    /// More `KEY=VALUE`.
    pub env: &'a [String],
    /// Where it starts, if elsewhere.
    pub cwd: Option<&'a str>,
    /// As whom, if as somebody else.
    pub user: Option<&'a str>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// With all rights.
    pub privileged: bool,
    /// The container's own seccomp profile, as it was when the container started.
    pub profile: Option<&'a str>,
}

/// The container's own program.
pub(super) fn first(container: &Container, security: &Security) -> Result<ProcessPlan, Unfit> {
    let rights = rights(container, container.privileged)?;
    let (seccomp, seccomp_flags) = security.filter(rights)?;
    Ok(ProcessPlan {
        args: args(&container.args)?,
        env: env(container, &[], container.tty)?,
        cwd: cwd(&container.cwd)?,
        make_cwd: true,
        user: container.user.clone(),
        groups: container.groups.clone(),
        first_among_groups: true,
        capabilities: Capabilities::plain(rights.0),
        no_new_privileges: security.no_new_privileges,
        seccomp,
        seccomp_flags,
        oom_score_adj: container.oom_score_adj,
        rlimits: limits(&container.ulimits)?,
        tuning: Tuning::default(),
    })
}

/// A further program: never with more rights than the container's own, unless that is asked for.
pub(in crate::runtime) fn exec_process(
    container: &Container,
    wish: ExecWish<'_>,
) -> Result<ProcessPlan, Unfit> {
    let mut security = match wish.profile {
        Some(profile) => Security::with_profile(container, profile)?,
        None => Security::parse(container)?,
    };
    if wish.privileged {
        security.unconfine();
    }
    let rights = rights(container, container.privileged || wish.privileged)?;
    let (seccomp, seccomp_flags) = security.filter(rights)?;
    // Groups that were added for the container's user are not those of somebody else.
    let groups = if wish.user.is_some() { Vec::new() } else { container.groups.clone() };
    Ok(ProcessPlan {
        args: args(wish.args)?,
        env: env(container, wish.env, wish.tty)?,
        cwd: cwd(wish.cwd.unwrap_or(&container.cwd))?,
        make_cwd: false,
        user: wish.user.unwrap_or(&container.user).to_owned(),
        groups,
        first_among_groups: true,
        capabilities: Capabilities::plain(rights.0),
        no_new_privileges: security.no_new_privileges,
        seccomp,
        seccomp_flags,
        oom_score_adj: container.oom_score_adj,
        rlimits: limits(&container.ulimits)?,
        tuning: Tuning::default(),
    })
}

fn args(args: &[String]) -> Result<Vec<CString>, Unfit> {
    if args.first().is_none_or(String::is_empty) {
        return Err(Unfit("there is no program to run".to_owned()));
    }
    args.iter().map(|arg| text(arg)).collect()
}

/// `more` wins over the container's own, and that over what is there by default.
fn env(container: &Container, more: &[String], tty: bool) -> Result<Vec<CString>, Unfit> {
    let mut variables: Vec<&str> = Vec::new();
    let hostname = format!("HOSTNAME={}", container.hostname);
    if !container.hostname.is_empty() {
        variables.push(&hostname);
    }
    variables.push(PATH);
    if tty {
        variables.push("TERM=xterm");
    }
    for variable in container.env.iter().chain(more) {
        let name = variable.split('=').next().unwrap_or_default();
        let same = |other: &&str| other.split('=').next() == Some(name);
        match variables.iter().position(same) {
            Some(at) => variables[at] = variable,
            None => variables.push(variable),
        }
    }
    variables.into_iter().map(text).collect()
}

fn cwd(cwd: &str) -> Result<CString, Unfit> {
    match cwd {
        "" => Ok(c"/".to_owned()),
        _ if cwd.starts_with('/') => text(cwd),
        _ => Err(Unfit(format!("the working directory {cwd:?} is not absolute"))),
    }
}

fn rights(container: &Container, privileged: bool) -> Result<CapSet, Unfit> {
    capabilities::resolve(&container.cap_add, &container.cap_drop, privileged)
        .map_err(|error| Unfit(error.to_string()))
}

/// A limit's number, and its soft and hard value.
type Limit = (u32, (u64, u64));

fn limits(limits: &Ulimits) -> Result<Vec<Limit>, Unfit> {
    limits
        .iter()
        .map(|(name, limit)| {
            let place = LIMITS.iter().position(|(known, _)| known == name);
            let place = place.ok_or_else(|| Unfit(format!("there is no limit {name:?}")))?;
            let bound = |value: i64| match value {
                -1 => Ok(u64::MAX),
                _ => u64::try_from(value)
                    .map_err(|_| Unfit(format!("the limit {name} cannot be {value}"))),
            };
            let place = u32::try_from(place).unwrap_or_default();
            Ok((place, (bound(limit.soft)?, bound(limit.hard)?)))
        })
        .collect()
}
