//! The files of cgroup v2.

use super::block::Block;
use super::{CgroupError, PERIOD, Write, quota};

use crate::model::Resources;

pub(super) fn cpu(resources: &Resources, writes: &mut Vec<Write>) -> Result<(), CgroupError> {
    if let Some(shares) = resources.cpu_shares.filter(|shares| *shares > 0) {
        writes.push(Write::new("cpu", "cpu.weight", weight_of_shares(shares)));
    }
    let quota = quota(resources)?;
    if quota.is_some() || resources.cpu_period.is_some() {
        let period = resources.cpu_period.filter(|period| *period > 0).unwrap_or(PERIOD);
        let value = match quota {
            Some(quota @ 1..) => format!("{quota} {period}"),
            _ => format!("max {period}"),
        };
        writes.push(Write::new("cpu", "cpu.max", value));
    }
    if let Some(burst) = resources.cpu_burst {
        writes.push(Write::new("cpu", "cpu.max.burst", burst));
    }
    if let Some(idle) = resources.cpu_idle {
        writes.push(Write::new("cpu", "cpu.idle", u8::from(idle)));
    }
    let real_time = [
        ("cpu.rt_period_us", resources.cpu_rt_period.map(|us| us.to_string())),
        ("cpu.rt_runtime_us", resources.cpu_rt_runtime.map(|us| us.to_string())),
    ];
    for (file, value) in real_time {
        writes.extend(value.map(|value| Write::new("cpu", file, value)));
    }
    Ok(())
}

pub(super) fn memory(resources: &Resources, writes: &mut Vec<Write>) {
    if let Some(bytes) = resources.memory {
        writes.push(Write::new("memory", "memory.max", bytes_text(bytes)));
    }
    match (resources.memory_swap, resources.memory) {
        // v2 counts swap alone.
        (Some(both @ 0..), Some(memory)) if memory != u64::MAX => {
            let swap = both.cast_unsigned().saturating_sub(memory);
            let write = Write::new("memory", "memory.swap.max", swap);
            writes.push(if swap == 0 { write.optional() } else { write });
        }
        (Some(_), _) => writes.push(Write::new("memory", "memory.swap.max", "max").optional()),
        (None, _) => {}
    }
    if let Some(bytes) = resources.memory_reservation {
        writes.push(Write::new("memory", "memory.low", bytes_text(bytes)));
    }
    // A container with a part of it killed is worse than one that is restarted as a whole.
    writes.push(Write::new("memory", "memory.oom.group", 1).optional());
}

/// The largest number is no limit.
fn bytes_text(bytes: u64) -> String {
    if bytes == u64::MAX { "max".to_owned() } else { bytes.to_string() }
}

pub(super) fn io(block: &Block, writes: &mut Vec<Write>) {
    if let Some(weight) = block.weight {
        let default = format!("default {}", io_weight(weight));
        writes.push(Write::new("io", "io.bfq.weight", weight).or("io.weight", default));
    }
    for (device, weight) in &block.weight_device {
        let write = Write::new("io", "io.bfq.weight", format!("{device} {weight}"));
        writes.push(write.or("io.weight", format!("{device} {}", io_weight(*weight))));
    }
    for (key, limits) in [
        ("rbps", &block.read_bps),
        ("wbps", &block.write_bps),
        ("riops", &block.read_iops),
        ("wiops", &block.write_iops),
    ] {
        for (device, limit) in limits {
            let limit = if *limit == 0 { "max".to_owned() } else { limit.to_string() };
            writes.push(Write::new("io", "io.max", format!("{device} {key}={limit}")));
        }
    }
}

/// The weight that means what a number of v1 shares means: the range 2 to 262144 onto 1 to 10000,
/// with the default (1024) on the default (100). The curve is that of runc 1.4 and crun 1.23.
fn weight_of_shares(shares: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "clamped to 18 bits")]
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000 by construction"
    )]
    let weight = 10f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

/// From 10..=1000 to 1..=10000.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}
