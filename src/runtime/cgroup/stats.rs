//! What a cgroup has used.

use std::path::Path;

use super::{Cgroup, CgroupError, Version, files};

/// The use of a cgroup at one moment. A figure whose controller is missing is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time used, in nanoseconds.
    pub cpu_ns: u64,
    /// That part of it spent in user mode, in nanoseconds.
    pub cpu_user_ns: u64,
    /// That part of it spent in the kernel, in nanoseconds.
    pub cpu_system_ns: u64,
    /// How often the processes had used up their time before a period ended.
    pub throttled: u64,
    /// Memory in use, in bytes, with the page cache.
    pub memory: u64,
    /// The limit of it; `None` is unlimited.
    pub memory_limit: Option<u64>,
    /// The most it has been; `None` where the kernel does not tell.
    pub memory_peak: Option<u64>,
    /// The page cache in it, in bytes.
    pub cache: u64,
    /// The part of the page cache that was not used lately, in bytes. Docker shows memory without
    /// it.
    pub inactive_file: u64,
    /// Processes and threads.
    pub pids: u64,
    /// The limit of them; `None` is unlimited.
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: u64,
    /// Bytes written to block devices.
    pub write_bytes: u64,
    /// Reads from block devices.
    pub reads: u64,
    /// Writes to block devices.
    pub writes: u64,
}

impl Cgroup {
    /// What it has used.
    ///
    /// # Errors
    /// If the kernel does not tell, as after its removal.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        self.cpu(&mut stats)?;
        self.memory(&mut stats)?;
        if let Some(dir) = self.dir("pids") {
            stats.pids = files::number(&dir.path, "pids.current")?.unwrap_or(0);
            stats.pids_limit = files::number(&dir.path, "pids.max")?;
        }
        if let Some(dir) = self.dir("io") {
            match dir.version {
                Version::V1 => blkio(&dir.path, &mut stats)?,
                Version::V2 => io(&files::read(&dir.path.join("io.stat"))?, &mut stats),
            }
        }
        Ok(stats)
    }

    fn cpu(&self, stats: &mut Stats) -> Result<(), CgroupError> {
        if let Some(dir) = self.dir("cpuacct") {
            stats.cpu_ns = files::number(&dir.path, "cpuacct.usage")?.unwrap_or(0);
            stats.cpu_user_ns = files::number(&dir.path, "cpuacct.usage_user")?.unwrap_or(0);
            stats.cpu_system_ns = files::number(&dir.path, "cpuacct.usage_sys")?.unwrap_or(0);
        } else if let Some(dir) = self.v2() {
            // Counted without the cpu controller too.
            let text = files::read(&dir.path.join("cpu.stat"))?;
            stats.cpu_ns = files::field(&text, "usage_usec").saturating_mul(1000);
            stats.cpu_user_ns = files::field(&text, "user_usec").saturating_mul(1000);
            stats.cpu_system_ns = files::field(&text, "system_usec").saturating_mul(1000);
        }
        if let Some(dir) = self.dir("cpu") {
            let text = files::read(&dir.path.join("cpu.stat"))?;
            stats.throttled = files::field(&text, "nr_throttled");
        }
        Ok(())
    }

    fn memory(&self, stats: &mut Stats) -> Result<(), CgroupError> {
        let Some(dir) = self.dir("memory") else { return Ok(()) };
        let path = &dir.path;
        let text = files::read(&path.join("memory.stat"))?;
        if dir.version == Version::V1 {
            stats.memory = files::number(path, "memory.usage_in_bytes")?.unwrap_or(0);
            // v1 has no word for "unlimited": the largest number of whole pages stands for it.
            let limit = files::number(path, "memory.limit_in_bytes")?;
            stats.memory_limit = limit.filter(|limit| *limit < i64::MAX as u64 / 65_536 * 65_536);
            stats.memory_peak = files::number(path, "memory.max_usage_in_bytes")?;
            stats.cache = files::field(&text, "total_cache");
            stats.inactive_file = files::field(&text, "total_inactive_file");
        } else {
            stats.memory = files::number(path, "memory.current")?.unwrap_or(0);
            stats.memory_limit = files::number(path, "memory.max")?;
            stats.memory_peak = files::number(path, "memory.peak")?;
            stats.cache = files::field(&text, "file");
            stats.inactive_file = files::field(&text, "inactive_file");
        }
        Ok(())
    }
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn io(text: &str, stats: &mut Stats) {
    for field in text.split_whitespace() {
        let Some((key, value)) = field.split_once('=') else { continue };
        let value: u64 = value.parse().unwrap_or(0);
        match key {
            "rbytes" => stats.read_bytes += value,
            "wbytes" => stats.write_bytes += value,
            "rios" => stats.reads += value,
            "wios" => stats.writes += value,
            _ => {}
        }
    }
}

/// Lines of `8:0 Read 1`, then `Total 1`.
fn blkio(dir: &Path, stats: &mut Stats) -> Result<(), CgroupError> {
    let sum = |file: &str| -> Result<(u64, u64), CgroupError> {
        let text = files::read_if_there(&dir.join(file))?.unwrap_or_default();
        let total = |word: &str| {
            let values = text.lines().filter_map(|line| {
                let mut fields = line.split(' ').skip(1);
                (fields.next()? == word).then(|| fields.next()?.parse::<u64>().ok()).flatten()
            });
            values.sum()
        };
        Ok((total("Read"), total("Write")))
    };
    (stats.read_bytes, stats.write_bytes) = sum("blkio.throttle.io_service_bytes_recursive")?;
    (stats.reads, stats.writes) = sum("blkio.throttle.io_serviced_recursive")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_of_all_devices_is_summed() {
        let mut stats = Stats::default();
        let text = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n\
                    8:16 rbytes=10 wbytes=20 rios=30 wios=40\n";
        io(text, &mut stats);
        let seen = (stats.read_bytes, stats.write_bytes, stats.reads, stats.writes);
        assert_eq!(seen, (11, 22, 33, 44));
    }
}
