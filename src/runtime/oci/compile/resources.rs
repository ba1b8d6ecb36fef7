//! `linux.resources`, as what a cgroup is told.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::super::super::compile::Unfit;
use super::super::error::Result;
use crate::model::{BlockResources, Resources};

/// What the container may use, without its devices.
pub(in crate::runtime::oci) fn resources(asked: &LinuxResources) -> Result<Resources> {
    let mut resources = Resources::default();
    if let Some(memory) = asked.memory() {
        self::memory(memory, &mut resources)?;
    }
    if let Some(cpu) = asked.cpu() {
        self::cpu(cpu, &mut resources)?;
    }
    if let Some(pids) = asked.pids() {
        resources.pids = Some(pids.limit());
    }
    if let Some(block) = asked.block_io() {
        resources.block = Some(self::block(block)?);
    }
    for limit in asked.hugepage_limits().iter().flatten() {
        let size = limit.page_size();
        if !size.ends_with('B') || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Unfit(format!("hugepageLimits: {size:?} is no size of a page")).into());
        }
        resources.hugepages.push((size.clone(), limit.limit()));
    }
    if let Some(network) = asked.network() {
        resources.network_class = network.class_id();
        for priority in network.priorities().iter().flatten() {
            resources.network_priorities.push((priority.name().clone(), priority.priority()));
        }
    }
    for (device, limits) in asked.rdma().iter().flatten() {
        let limits = (limits.hca_handles(), limits.hca_objects());
        resources.rdma.insert(device.clone(), limits);
    }
    for (file, value) in asked.unified().iter().flatten() {
        resources.unified.insert(file.clone(), value.clone());
    }
    Ok(resources)
}

/// -1 is unlimited: the largest number stands for that.
fn limit(value: Option<i64>, what: &str) -> Result<Option<u64>> {
    Ok(match value {
        None => None,
        Some(-1) => Some(u64::MAX),
        Some(value) => Some(
            u64::try_from(value)
                .map_err(|_| Unfit(format!("linux.resources.memory.{what} cannot be {value}")))?,
        ),
    })
}

fn memory(memory: &LinuxMemory, resources: &mut Resources) -> Result<()> {
    resources.memory = limit(memory.limit(), "limit")?;
    resources.memory_reservation = limit(memory.reservation(), "reservation")?;
    resources.memory_swap = memory.swap();
    resources.memory_swappiness = memory.swappiness();
    resources.oom_kill_disable = memory.disable_oom_killer().unwrap_or(false);
    // `kernel` has no meaning on any kernel since 5.16, `kernelTCP` none in version 2.
    if let Some(bytes) = limit(memory.kernel_tcp(), "kernelTCP")? {
        resources.memory_tcp = Some(bytes);
    }
    Ok(())
}

fn cpu(cpu: &LinuxCpu, resources: &mut Resources) -> Result<()> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    resources.cpu_shares = cpu.shares();
    resources.cpu_quota = cpu.quota();
    resources.cpu_burst = cpu.burst();
    resources.cpu_period = cpu.period();
    resources.cpu_rt_runtime = cpu.realtime_runtime().filter(|runtime| *runtime != 0);
    resources.cpu_rt_period = cpu.realtime_period().filter(|period| *period != 0);
    resources.cpuset_cpus = given(cpu.cpus());
    resources.cpuset_mems = given(cpu.mems());
    resources.cpu_idle = match cpu.idle() {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(other) => {
            return Err(Unfit(format!("linux.resources.cpu.idle is 0 or 1, not {other}")).into());
        }
    };
    Ok(())
}

fn block(block: &LinuxBlockIo) -> Result<BlockResources> {
    if block.leaf_weight().is_some_and(|weight| weight != 0) {
        let text = "linux.resources.blockIO.leafWeight: no kernel of today has it";
        return Err(Unfit(text.to_owned()).into());
    }
    let throttle = |devices: &Option<Vec<LinuxThrottleDevice>>| {
        let one = |device: &LinuxThrottleDevice| {
            (format!("{}:{}", device.major(), device.minor()), device.rate())
        };
        devices.iter().flatten().map(one).collect::<Vec<_>>()
    };
    let weights = block.weight_device().iter().flatten().filter_map(|device| {
        Some((format!("{}:{}", device.major(), device.minor()), device.weight()?))
    });
    Ok(BlockResources {
        weight: block.weight(),
        weight_device: weights.collect(),
        read_bps: throttle(block.throttle_read_bps_device()),
        write_bps: throttle(block.throttle_write_bps_device()),
        read_iops: throttle(block.throttle_read_iops_device()),
        write_iops: throttle(block.throttle_write_iops_device()),
    })
}
