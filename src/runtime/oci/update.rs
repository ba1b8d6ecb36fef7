//! `update`.

use oci_spec::runtime::LinuxResources;

use super::super::hooks::Status;
use super::compile;
use super::error::{OciError, Result};
use super::state::Store;
use crate::model::Resources;

/// What is to change: a file of the specification's form, and single values that win over it.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The bytes of a file.
    pub file: Option<Vec<u8>>,
    /// Single values.
    pub single: Resources,
}

/// Changes what a container may use; what is not given stays.
///
/// # Errors
/// If it is not there, or the kernel refuses.
pub fn update(store: &Store, id: &str, limits: &Limits) -> Result<()> {
    let container = store.container(id)?;
    if container.status() == Status::Stopped {
        return Err(OciError::new(format!("container {id:?} is not running")));
    }
    let mut resources = match &limits.file {
        Some(text) => {
            let asked: LinuxResources = serde_json::from_slice(text)
                .map_err(|error| OciError::new(format!("the resources are not valid: {error}")))?;
            if asked.devices().as_ref().is_some_and(|devices| !devices.is_empty()) {
                let text = "the devices of a container cannot be changed while it runs";
                return Err(OciError::new(text));
            }
            compile::resources(&asked)?
        }
        None => Resources::default(),
    };
    win(&mut resources, &limits.single);
    Ok(container.cgroup().update(&resources)?)
}

/// `single` values win.
fn win(resources: &mut Resources, single: &Resources) {
    let Resources { cpu_shares, cpu_period, cpu_quota, cpu_burst, cpu_idle, .. } = single.clone();
    resources.cpu_shares = cpu_shares.or(resources.cpu_shares);
    resources.cpu_period = cpu_period.or(resources.cpu_period);
    resources.cpu_quota = cpu_quota.or(resources.cpu_quota);
    resources.cpu_burst = cpu_burst.or(resources.cpu_burst);
    resources.cpu_idle = cpu_idle.or(resources.cpu_idle);
    let Resources { cpu_rt_period, cpu_rt_runtime, cpuset_cpus, cpuset_mems, .. } = single.clone();
    resources.cpu_rt_period = cpu_rt_period.or(resources.cpu_rt_period);
    resources.cpu_rt_runtime = cpu_rt_runtime.or(resources.cpu_rt_runtime);
    resources.cpuset_cpus = cpuset_cpus.or(resources.cpuset_cpus.take());
    resources.cpuset_mems = cpuset_mems.or(resources.cpuset_mems.take());
    resources.memory = single.memory.or(resources.memory);
    resources.memory_reservation = single.memory_reservation.or(resources.memory_reservation);
    resources.memory_swap = single.memory_swap.or(resources.memory_swap);
    resources.pids = single.pids.or(resources.pids);
    if let Some(weight) = single.block.as_ref().and_then(|block| block.weight) {
        resources.block.get_or_insert_default().weight = Some(weight);
    }
}
