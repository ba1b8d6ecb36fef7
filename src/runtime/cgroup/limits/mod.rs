//! From resources to the values of files: decided here for each controller in the version the host
//! has it, then written in order.

mod block;
mod others;
mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rustix::io::Errno;

use super::{Cgroup, CgroupError, Cgroups, Dir, Version, files};

use crate::model::Resources;

/// The length of a CPU period unless given, in microseconds; the kernel's own default.
const PERIOD: u64 = 100_000;

/// One value for one file.
#[derive(Debug, PartialEq, Eq)]
struct Write {
    /// The controller, by its v2 name.
    controller: &'static str,
    /// Files that mean the same, the best first: kernels differ in which they have.
    files: Vec<(Cow<'static, str>, String)>,
    /// Whether a container is right without it.
    optional: bool,
}

impl Write {
    fn new(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        Self { controller, files: vec![(file.into(), value.to_string())], optional: false }
    }

    fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    fn or(mut self, file: &'static str, value: impl ToString) -> Self {
        self.files.push((file.into(), value.to_string()));
        self
    }
}

/// Puts limits in force.
pub(super) fn write(cgroup: &Cgroup, resources: &Resources) -> Result<(), CgroupError> {
    check(resources)?;
    let block = resources.block.as_ref().map(block::resolve).transpose()?.unwrap_or_default();
    let version = |controller| cgroup.dir(controller).map_or(Version::V2, |dir| dir.version);
    let mut writes = Vec::new();
    cpuset(resources, &mut writes);
    match version("cpu") {
        Version::V1 => v1::cpu(resources, &mut writes)?,
        Version::V2 => v2::cpu(resources, &mut writes)?,
    }
    match version("memory") {
        Version::V1 => v1::memory(resources, memory_now(cgroup)?, &mut writes),
        Version::V2 => v2::memory(resources, &mut writes),
    }
    match version("io") {
        Version::V1 => v1::io(&block, &mut writes),
        Version::V2 => v2::io(&block, &mut writes),
    }
    pids(resources, &mut writes);
    others::writes(cgroup, resources, &mut writes)?;
    writes.iter().try_for_each(|write| apply(cgroup, write))
}

/// Sentences about what is passed over.
pub(super) fn warnings(cgroups: &Cgroups, resources: &Resources) -> Vec<String> {
    let on_v1 = cgroups
        .hierarchies
        .iter()
        .any(|hierarchy| hierarchy.version == Version::V1 && hierarchy.has("memory"));
    let mut warnings = Vec::new();
    if !on_v1 && resources.memory_swappiness.is_some() {
        warnings.push("memory swappiness is not set: cgroup v2 does not have it".to_owned());
    }
    if !on_v1 && resources.oom_kill_disable {
        warnings.push("the OOM killer stays on: cgroup v2 cannot turn it off".to_owned());
    }
    warnings
}

/// What no kernel can make sense of.
fn check(resources: &Resources) -> Result<(), CgroupError> {
    let invalid = |text: String| Err(CgroupError::Invalid(text));
    if resources.nano_cpus.is_some() && resources.cpu_quota.is_some() {
        return invalid("cpus and cpu_quota both limit CPU time; give one of them".to_owned());
    }
    if let (Some(swap @ 0..), Some(memory)) = (resources.memory_swap, resources.memory)
        && memory != u64::MAX
        && swap.cast_unsigned() < memory
    {
        return invalid(format!(
            "the limit of memory and swap together ({swap}) is below the memory limit ({memory})"
        ));
    }
    if matches!((resources.memory_swap, resources.memory), (Some(0..), None)) {
        return invalid("a limit of memory and swap together needs a memory limit".to_owned());
    }
    if let Some(text) = resources
        .cpuset_cpus
        .iter()
        .chain(&resources.cpuset_mems)
        .find(|text| text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b',' | b'-' | b' ')))
    {
        return invalid(format!("{text:?} is not a list of numbers such as 0-2,4"));
    }
    Ok(())
}

fn cpuset(resources: &Resources, writes: &mut Vec<Write>) {
    if let Some(cpus) = &resources.cpuset_cpus {
        writes.push(Write::new("cpuset", "cpuset.cpus", cpus));
    }
    if let Some(mems) = &resources.cpuset_mems {
        writes.push(Write::new("cpuset", "cpuset.mems", mems));
    }
}

fn pids(resources: &Resources, writes: &mut Vec<Write>) {
    match resources.pids {
        Some(limit @ 1..) => writes.push(Write::new("pids", "pids.max", limit)),
        // Docker reads 0 as no limit too.
        Some(_) => writes.push(Write::new("pids", "pids.max", "max").optional()),
        None => {}
    }
}

/// The memory and swap limit in force, which says in which order v1 takes new ones.
fn memory_now(cgroup: &Cgroup) -> Result<Option<u64>, CgroupError> {
    let Some(dir) = cgroup.dir("memory") else { return Ok(None) };
    files::number(&dir.path, "memory.memsw.limit_in_bytes")
}

/// The CPU time in each period, in microseconds; `None` is unlimited or unchanged.
fn quota(resources: &Resources) -> Result<Option<i64>, CgroupError> {
    let Some(nano) = resources.nano_cpus else { return Ok(resources.cpu_quota) };
    let period = resources.cpu_period.unwrap_or(PERIOD);
    let quota = u128::from(nano) * u128::from(period) / 1_000_000_000;
    // The kernel takes no less than a millisecond.
    match i64::try_from(quota.max(1000)) {
        Ok(quota) => Ok(Some(quota)),
        Err(_) => Err(CgroupError::Invalid(format!("{nano} billionths of a CPU are too many"))),
    }
}

fn apply(cgroup: &Cgroup, write: &Write) -> Result<(), CgroupError> {
    let (file, value) = write.files.first().cloned().unwrap_or_default();
    let missing = |reason: String| CgroupError::Missing { file: file.into_owned(), value, reason };
    let Some(Dir { path, .. }) = cgroup.dir(write.controller) else {
        let reason = format!("this host has no {} controller", write.controller);
        return if write.optional { Ok(()) } else { Err(missing(reason)) };
    };
    for (file, value) in &write.files {
        match files::write(path, file, value) {
            Err(error) if error.is(Errno::NOENT) && path.is_dir() => {}
            written => return written,
        }
    }
    let reason = format!("the kernel's {} controller does not have it", write.controller);
    if write.optional { Ok(()) } else { Err(missing(reason)) }
}
