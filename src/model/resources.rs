//! What a container may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Limits and shares of CPU, memory, processes and block devices. `None` leaves the kernel's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU time, in billionths of one CPU.
    pub nano_cpus: Option<u64>,
    /// Relative weight of CPU time, 2 to 262144 (1024 is usual).
    pub cpu_shares: Option<u64>,
    /// Length of a CPU period in microseconds.
    pub cpu_period: Option<u64>,
    /// CPU time in each period in microseconds; -1 is unlimited.
    pub cpu_quota: Option<i64>,
    /// Length of a real-time CPU period in microseconds (cgroup v1).
    pub cpu_rt_period: Option<u64>,
    /// Real-time CPU time in each period in microseconds (cgroup v1).
    pub cpu_rt_runtime: Option<i64>,
    /// The CPUs to run on, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// The memory nodes to use, such as `0`.
    pub cpuset_mems: Option<String>,
    /// Hard limit of memory in bytes.
    pub memory: Option<u64>,
    /// Memory in bytes that is kept for the container under pressure.
    pub memory_reservation: Option<u64>,
    /// Limit of memory and swap together in bytes; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// 0 to 100 (cgroup v1).
    pub memory_swappiness: Option<u64>,
    /// Whether the kernel does not kill for lack of memory (cgroup v1).
    pub oom_kill_disable: bool,
    /// Number of processes and threads; -1 is unlimited.
    pub pids: Option<i64>,
    /// Block device limits.
    pub block: Option<BlockResources>,
    /// CPU time saved up for later periods, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_burst: Option<u64>,
    /// Whether it runs only when nobody else wants the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_idle: Option<bool>,
    /// Buffers of TCP in bytes (cgroup v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_tcp: Option<u64>,
    /// Limits of huge pages in bytes, by the size of the pages, such as `2MB`; -1 is unlimited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hugepages: Vec<(String, i64)>,
    /// The class of its packets (cgroup v1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_class: Option<u32>,
    /// The priority of its packets, by interface (cgroup v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_priorities: Vec<(String, u32)>,
    /// Handles and objects of each RDMA device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rdma: BTreeMap<String, (Option<u32>, Option<u32>)>,
    /// Files of cgroup v2 and what is written to them as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unified: BTreeMap<String, String>,
}

/// Limits and weights of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockResources {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight for one device, by path.
    pub weight_device: Vec<(String, u16)>,
    /// Bytes a second, by device path.
    pub read_bps: Vec<(String, u64)>,
    /// Bytes a second, by device path.
    pub write_bps: Vec<(String, u64)>,
    /// Operations a second, by device path.
    pub read_iops: Vec<(String, u64)>,
    /// Operations a second, by device path.
    pub write_iops: Vec<(String, u64)>,
}

/// A resource limit of a process (`setrlimit(2)`); -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The limit in force.
    pub soft: i64,
    /// How far it may be raised.
    pub hard: i64,
}

/// Limits by the name compose gives them: `nofile`, `nproc`, `core`, …
pub type Ulimits = BTreeMap<String, Ulimit>;
