//! The options of `orca oci update`.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;

use crate::model::{BlockResources, Resources};
use crate::runtime::oci::{Limits, OciError, Result};

/// The largest file of resources, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What is to change; what is not given stays.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// A file with all of it, of the form of linux.resources in config.json; - is standard input
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,

    /// Weight of its disk accesses, 10 to 1000
    #[arg(long, value_name = "N")]
    blkio_weight: Option<u16>,

    /// Length of a CPU period, in microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<u64>,

    /// CPU time in each period, in microseconds; -1 is unlimited
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,

    /// CPU time saved up for later periods, in microseconds
    #[arg(long, value_name = "N")]
    cpu_burst: Option<u64>,

    /// Weight of its CPU time, 2 to 262144
    #[arg(long, value_name = "N", visible_alias = "cpu-shares")]
    cpu_share: Option<u64>,

    /// Whether it runs only when nobody else wants the CPU: 0 or 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=1))]
    cpu_idle: Option<u8>,

    /// Length of a real-time period, in microseconds (cgroup v1)
    #[arg(long, value_name = "N")]
    cpu_rt_period: Option<u64>,

    /// Real-time CPU time in each period, in microseconds (cgroup v1)
    #[arg(long, value_name = "N")]
    cpu_rt_runtime: Option<i64>,

    /// The CPUs to run on, such as 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,

    /// The memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,

    /// Limit of memory, in bytes or with k, m or g; -1 is unlimited
    #[arg(long, value_name = "SIZE", value_parser = size, allow_negative_numbers = true)]
    memory: Option<i64>,

    /// Memory that is kept for it, in bytes or with k, m or g; -1 is unlimited
    #[arg(long, value_name = "SIZE", value_parser = size, allow_negative_numbers = true)]
    memory_reservation: Option<i64>,

    /// Limit of memory and swap together, in bytes or with k, m or g; -1 is unlimited
    #[arg(long, value_name = "SIZE", value_parser = size, allow_negative_numbers = true)]
    memory_swap: Option<i64>,

    /// Number of processes and threads; -1 is unlimited
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
}

impl UpdateArgs {
    /// What the runtime is told.
    pub(super) fn limits(&self) -> Result<Limits> {
        let bytes =
            |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or(u64::MAX));
        let single = Resources {
            cpu_shares: self.cpu_share,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_burst: self.cpu_burst,
            cpu_idle: self.cpu_idle.map(|idle| idle == 1),
            cpu_rt_period: self.cpu_rt_period,
            cpu_rt_runtime: self.cpu_rt_runtime,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            memory: bytes(self.memory),
            memory_reservation: bytes(self.memory_reservation),
            memory_swap: self.memory_swap,
            pids: self.pids_limit,
            block: self
                .blkio_weight
                .map(|weight| BlockResources { weight: Some(weight), ..BlockResources::default() }),
            ..Resources::default()
        };
        Ok(Limits { file: self.resources.as_ref().map(read).transpose()?, single })
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(MAX_FILE).read_to_end(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(OciError { code: 1, message: format!("cannot read {}: {error}", path.display()) })
        }
    }
}

/// A number of bytes, perhaps with a unit.
fn size(text: &str) -> std::result::Result<i64, String> {
    let invalid = || format!("{text:?} is not a size such as 64m");
    let lower = text.to_ascii_lowercase();
    let plain = lower.trim_end_matches('b').trim_end_matches('i');
    let (number, shift) = match plain.chars().last() {
        Some('k') => (&plain[..plain.len() - 1], 10),
        Some('m') => (&plain[..plain.len() - 1], 20),
        Some('g') => (&plain[..plain.len() - 1], 30),
        Some('t') => (&plain[..plain.len() - 1], 40),
        _ => (plain, 0),
    };
    let number: i64 = number.parse().map_err(|_| invalid())?;
    if number < -1 || (number == -1 && shift > 0) {
        return Err(invalid());
    }
    number.checked_mul(1 << shift).ok_or_else(invalid)
}
