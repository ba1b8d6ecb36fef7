use super::block::Block;
use super::*;

use crate::model::BlockResources;

fn check_writes(version: Version, resources: &Resources, expected: &[&str]) {
    let mut writes = Vec::new();
    super::cpuset(resources, &mut writes);
    match version {
        Version::V1 => {
            v1::cpu(resources, &mut writes).unwrap();
            v1::memory(resources, Some(1 << 40), &mut writes);
        }
        Version::V2 => {
            v2::cpu(resources, &mut writes).unwrap();
            v2::memory(resources, &mut writes);
        }
    }
    super::pids(resources, &mut writes);
    assert_eq!(shown(&writes), expected);
}

fn shown(writes: &[Write]) -> Vec<String> {
    let show = |write: &Write| {
        let files: Vec<_> =
            write.files.iter().map(|(file, value)| format!("{file}={value}")).collect();
        format!("{}{}", files.join(" or "), if write.optional { "?" } else { "" })
    };
    writes.iter().map(show).collect()
}

fn all() -> Resources {
    Resources {
        nano_cpus: Some(1_500_000_000),
        cpu_shares: Some(1024),
        cpuset_cpus: Some("0-1".to_owned()),
        cpuset_mems: Some("0".to_owned()),
        memory: Some(1 << 20),
        memory_reservation: Some(1 << 19),
        memory_swap: Some(3 << 20),
        pids: Some(10),
        ..Resources::default()
    }
}

#[test]
fn v1_has_a_file_for_each_limit() {
    check_writes(
        Version::V1,
        &all(),
        &[
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "cpu.shares=1024",
            "cpu.cfs_quota_us=150000",
            "memory.limit_in_bytes=1048576",
            "memory.memsw.limit_in_bytes=3145728",
            "memory.soft_limit_in_bytes=524288",
            "pids.max=10",
        ],
    );
}

#[test]
fn v2_counts_swap_alone_and_kills_as_a_group() {
    check_writes(
        Version::V2,
        &all(),
        &[
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "cpu.weight=100",
            "cpu.max=150000 100000",
            "memory.max=1048576",
            "memory.swap.max=2097152",
            "memory.low=524288",
            "memory.oom.group=1?",
            "pids.max=10",
        ],
    );
}

#[test]
fn nothing_asked_for_is_nothing_written() {
    check_writes(Version::V1, &Resources::default(), &[]);
    check_writes(Version::V2, &Resources::default(), &["memory.oom.group=1?"]);
}

#[test]
fn unlimited_needs_no_file() {
    let unlimited = Resources {
        memory_swap: Some(-1),
        pids: Some(-1),
        cpu_quota: Some(-1),
        cpu_period: Some(50_000),
        ..Resources::default()
    };
    check_writes(
        Version::V1,
        &unlimited,
        &[
            "cpu.cfs_period_us=50000",
            "cpu.cfs_quota_us=-1",
            "memory.memsw.limit_in_bytes=-1?",
            "pids.max=max?",
        ],
    );
    check_writes(
        Version::V2,
        &unlimited,
        &["cpu.max=max 50000", "memory.swap.max=max?", "memory.oom.group=1?", "pids.max=max?"],
    );
}

#[test]
fn v1_raises_the_larger_limit_first() {
    let mut writes = Vec::new();
    let resources = Resources { memory: Some(200), memory_swap: Some(300), ..Resources::default() };
    v1::memory(&resources, Some(100), &mut writes);
    let raised = ["memory.memsw.limit_in_bytes=300", "memory.limit_in_bytes=200"];
    assert_eq!(shown(&writes), raised);
}

#[test]
fn shares_keep_their_ends_and_their_default() {
    let mut writes = Vec::new();
    for shares in [1, 2, 1024, 262_144, u64::MAX] {
        let resources = Resources { cpu_shares: Some(shares), ..Resources::default() };
        v2::cpu(&resources, &mut writes).unwrap();
    }
    let weights = [1, 1, 100, 10_000, 10_000].map(|weight| format!("cpu.weight={weight}"));
    assert_eq!(shown(&writes), weights);
}

#[test]
fn block_limits_name_devices_by_number() {
    let block = Block {
        weight: Some(500),
        weight_device: vec![("8:0".to_owned(), 1000)],
        read_bps: vec![("8:0".to_owned(), 1024)],
        write_iops: vec![("8:0".to_owned(), 0)],
        ..Block::default()
    };
    let mut writes = Vec::new();
    v2::io(&block, &mut writes);
    v1::io(&block, &mut writes);
    assert_eq!(
        shown(&writes),
        [
            "io.bfq.weight=500 or io.weight=default 4950",
            "io.bfq.weight=8:0 1000 or io.weight=8:0 10000",
            "io.max=8:0 rbps=1024",
            "io.max=8:0 wiops=max",
            "blkio.weight=500 or blkio.bfq.weight=500",
            "blkio.weight_device=8:0 1000 or blkio.bfq.weight_device=8:0 1000",
            "blkio.throttle.read_bps_device=8:0 1024",
            "blkio.throttle.write_iops_device=8:0 0",
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |resources: Resources| super::check(&resources).unwrap_err().to_string();
    let default = Resources::default;
    assert_eq!(
        refused(Resources { nano_cpus: Some(1), cpu_quota: Some(1), ..default() }),
        "cpus and cpu_quota both limit CPU time; give one of them"
    );
    assert_eq!(
        refused(Resources { memory: Some(10), memory_swap: Some(5), ..default() }),
        "the limit of memory and swap together (5) is below the memory limit (10)"
    );
    assert_eq!(
        refused(Resources { memory_swap: Some(5), ..default() }),
        "a limit of memory and swap together needs a memory limit"
    );
    assert_eq!(
        refused(Resources { cpuset_cpus: Some("0\n1".to_owned()), ..default() }),
        "\"0\\n1\" is not a list of numbers such as 0-2,4"
    );
}

#[test]
fn a_device_that_is_none_is_named() {
    let limit = |path: &str| BlockResources {
        read_bps: vec![(path.to_owned(), 1)],
        ..BlockResources::default()
    };
    let refused = |path: &str| block::resolve(&limit(path)).unwrap_err().to_string();
    let told = "cannot limit \"/dev/null\": it is not a block device of this host";
    assert_eq!(refused("/dev/null"), told);
    assert!(refused("/no/such").contains("/no/such"));
    let heavy = BlockResources { weight: Some(5), ..BlockResources::default() };
    assert!(block::resolve(&heavy).unwrap_err().to_string().contains("10 to 1000"));
}
