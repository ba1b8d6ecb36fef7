//! Limits of a service's containers.

use super::Decode;
use super::fields::{bytes, flag, float, int, items, positive_bytes, text, unsigned};
use crate::compose::tree::{Node, Path};
use crate::model::{BlockResources, Resources};

impl Decode<'_> {
    /// `cpus`, `mem_limit` and the like, with those of `deploy.resources` over them.
    pub(super) fn resources(&mut self, node: &Node, path: &Path<'_>) -> Resources {
        let deployed = node.get("deploy").and_then(|deploy| deploy.get("resources"));
        let limits = deployed.and_then(|resources| resources.get("limits"));
        let reservations = deployed.and_then(|resources| resources.get("reservations"));
        let cpus = limits.and_then(|limits| float(limits, "cpus")).or_else(|| float(node, "cpus"));
        if let Some(cpus) = cpus.filter(|cpus| *cpus < 0.0) {
            self.error(node.mark, path, format!("cpus must not be negative, not {cpus}"));
        }
        let memory = limits
            .and_then(|limits| positive_bytes(limits, "memory"))
            .or_else(|| positive_bytes(node, "mem_limit"));
        let reservation = reservations
            .and_then(|reservations| positive_bytes(reservations, "memory"))
            .or_else(|| positive_bytes(node, "mem_reservation"));
        let pids =
            limits.and_then(|limits| int(limits, "pids")).or_else(|| int(node, "pids_limit"));
        Resources {
            nano_cpus: cpus.map(nano),
            cpu_shares: unsigned(node, "cpu_shares"),
            cpu_period: unsigned(node, "cpu_period"),
            cpu_quota: int(node, "cpu_quota"),
            cpu_rt_period: unsigned(node, "cpu_rt_period"),
            cpu_rt_runtime: int(node, "cpu_rt_runtime"),
            cpuset_cpus: text(node, "cpuset"),
            cpuset_mems: None,
            memory,
            memory_reservation: reservation,
            memory_swap: bytes(node, "memswap_limit"),
            memory_swappiness: bytes(node, "mem_swappiness").and_then(|n| u64::try_from(n).ok()),
            oom_kill_disable: flag(node, "oom_kill_disable"),
            pids,
            block: node.get("blkio_config").map(|node| self.block(node, &path.key("blkio_config"))),
            ..Resources::default()
        }
    }

    fn block(&mut self, node: &Node, path: &Path<'_>) -> BlockResources {
        BlockResources {
            weight: self.weight(node, path),
            weight_device: items(node, "weight_device")
                .iter()
                .filter_map(|item| Some((text(item, "path")?, self.weight(item, path)?)))
                .collect(),
            read_bps: rates(node, "device_read_bps"),
            write_bps: rates(node, "device_write_bps"),
            read_iops: rates(node, "device_read_iops"),
            write_iops: rates(node, "device_write_iops"),
        }
    }

    fn weight(&mut self, node: &Node, path: &Path<'_>) -> Option<u16> {
        let weight = int(node, "weight")?;
        let fits = u16::try_from(weight).ok().filter(|weight| (10..=1000).contains(weight));
        if fits.is_none() {
            self.error(node.mark, path, format!("weight must be from 10 to 1000, not {weight}"));
        }
        fits
    }
}

fn rates(node: &Node, name: &str) -> Vec<(String, u64)> {
    let rate = |item: &Node| Some((text(item, "path")?, positive_bytes(item, "rate")?));
    items(node, name).iter().filter_map(rate).collect()
}

/// Billionths of a CPU.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a negative or huge number of CPUs ends at the edge of the range"
)]
fn nano(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}
