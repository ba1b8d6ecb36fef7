//! The files of cgroup v1.

use super::block::Block;
use super::{CgroupError, Write, quota};

use crate::model::Resources;

pub(super) fn cpu(resources: &Resources, writes: &mut Vec<Write>) -> Result<(), CgroupError> {
    let mut write = |file, value: Option<String>| {
        writes.extend(value.map(|value| Write::new("cpu", file, value)));
    };
    let text = |value: u64| value.to_string();
    write("cpu.shares", resources.cpu_shares.filter(|shares| *shares > 0).map(text));
    write("cpu.cfs_period_us", resources.cpu_period.filter(|period| *period > 0).map(text));
    write("cpu.cfs_quota_us", quota(resources)?.filter(|quota| *quota != 0).map(|q| q.to_string()));
    write("cpu.cfs_burst_us", resources.cpu_burst.map(text));
    write("cpu.idle", resources.cpu_idle.map(|idle| u8::from(idle).to_string()));
    write("cpu.rt_period_us", resources.cpu_rt_period.map(text));
    write("cpu.rt_runtime_us", resources.cpu_rt_runtime.map(|runtime| runtime.to_string()));
    Ok(())
}

/// `now` is the limit of memory and swap in force; the kernel wants it never below that of memory.
pub(super) fn memory(resources: &Resources, now: Option<u64>, writes: &mut Vec<Write>) {
    let limit = resources
        .memory
        .map(|bytes| Write::new("memory", "memory.limit_in_bytes", bytes_text(bytes)));
    let both = resources.memory_swap.map(|bytes| {
        let write = Write::new("memory", "memory.memsw.limit_in_bytes", bytes.max(-1));
        // Without swap accounting, "no limit" and "no swap at all" need no file: there is no limit,
        // or no swap that is counted.
        let no_swap = u64::try_from(bytes).ok() == resources.memory;
        if bytes < 0 || no_swap { write.optional() } else { write }
    });
    let raises = match (resources.memory, now) {
        (Some(memory), Some(now)) => memory > now,
        _ => resources.memory_swap == Some(-1),
    };
    if raises {
        writes.extend(both);
        writes.extend(limit);
    } else {
        writes.extend(limit);
        writes.extend(both);
    }
    if let Some(bytes) = resources.memory_reservation {
        writes.push(Write::new("memory", "memory.soft_limit_in_bytes", bytes_text(bytes)));
    }
    if let Some(swappiness) = resources.memory_swappiness {
        writes.push(Write::new("memory", "memory.swappiness", swappiness));
    }
    if let Some(bytes) = resources.memory_tcp {
        writes.push(Write::new("memory", "memory.kmem.tcp.limit_in_bytes", bytes_text(bytes)));
    }
    if resources.oom_kill_disable {
        writes.push(Write::new("memory", "memory.oom_control", 1));
    }
}

/// The largest number is no limit, which the files say with -1.
fn bytes_text(bytes: u64) -> String {
    if bytes == u64::MAX { "-1".to_owned() } else { bytes.to_string() }
}

pub(super) fn io(block: &Block, writes: &mut Vec<Write>) {
    if let Some(weight) = block.weight {
        writes.push(Write::new("io", "blkio.weight", weight).or("blkio.bfq.weight", weight));
    }
    for (device, weight) in &block.weight_device {
        let value = format!("{device} {weight}");
        let write = Write::new("io", "blkio.weight_device", &value);
        writes.push(write.or("blkio.bfq.weight_device", &value));
    }
    for (file, limits) in [
        ("blkio.throttle.read_bps_device", &block.read_bps),
        ("blkio.throttle.write_bps_device", &block.write_bps),
        ("blkio.throttle.read_iops_device", &block.read_iops),
        ("blkio.throttle.write_iops_device", &block.write_iops),
    ] {
        for (device, limit) in limits {
            writes.push(Write::new("io", file, format!("{device} {limit}")));
        }
    }
}
