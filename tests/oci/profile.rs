//! The default filter of system calls beside the one that docker gives its containers: docker's, as it
//! tells it to a runtime for the same rights, against ours, both compiled and asked about every call of
//! the architecture with arguments around those that either looks at.

use std::collections::{BTreeMap, BTreeSet};

use orca::runtime::capabilities::CapSet;
use orca::runtime::seccomp::{Arch, Profile, compile, default_program, names_of_calls};
use serde_json::Value;

use crate::docker::Docker;
use crate::runtime::repository;

/// Why the two answer calls in different ways, and which. docker 20.10 of Debian 12: its profile is of
/// 2022, and ours follows Docker's of today. `docs/threat-model.md` has the same list.
const DIFFERENCES: &[(&str, &[&str])] = &[
    (
        "allowed by later Dockers too: newer calls, no more than what older ones do",
        &[
            "cachestat",
            "fchmodat2",
            "futex_requeue",
            "futex_wait",
            "futex_wake",
            "getxattrat",
            "listmount",
            "listxattrat",
            "map_shadow_stack",
            "mseal",
            "removexattrat",
            "set_mempolicy_home_node",
            "setxattrat",
            "statmount",
            "uretprobe",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
        ],
    ),
    (
        "allowed by later Dockers too: harmless by themselves, and programs use them",
        &["name_to_handle_at", "pkey_alloc", "pkey_free", "pkey_mprotect"],
    ),
    (
        "allowed by later Dockers too, as ptrace is: the kernel asks for the same rights",
        &["process_vm_readv", "process_vm_writev"],
    ),
    (
        "refused by later Dockers too: a wide way into the kernel",
        &["io_uring_enter", "io_uring_register", "io_uring_setup"],
    ),
    ("of the families AF_VSOCK and AF_ALG: refused by later Dockers too", &["socket"]),
];

/// Whether a difference is known.
fn is_known(name: &str) -> bool {
    DIFFERENCES.iter().any(|(_, names)| names.contains(&name))
}

/// What a filter says to a call.
fn answer(program: &[u8], number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0_u8; 64];
    data[..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&0xc000_003e_u32.to_ne_bytes());
    for (at, arg) in args.iter().enumerate() {
        data[16 + at * 8..24 + at * 8].copy_from_slice(&arg.to_ne_bytes());
    }
    let word = |at: usize| u32::from_ne_bytes(data[at..at + 4].try_into().unwrap());
    let (mut at, mut a) = (0, 0_u32);
    loop {
        let op = &program[at * 8..at * 8 + 8];
        let code = u16::from_ne_bytes([op[0], op[1]]);
        let k = u32::from_ne_bytes(op[4..8].try_into().unwrap());
        let jump = |yes: bool| usize::from(if yes { op[2] } else { op[3] });
        at += 1;
        match code {
            0x20 => a = word(k as usize),
            0x54 => a &= k,
            0x06 => return k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x45 => at += jump(a & k != 0),
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// Arguments around those that a profile looks at: families of sockets, flags of clone, personalities.
fn arguments() -> Vec<[u64; 6]> {
    let words =
        [0, 1, 2, 8, 9, 16, 38, 39, 40, 41, 0x11, 0x2_0000, 0x2_0008, 0x0200_0000, 0x1000_0000];
    let large = [0x4000_0000, 0x7c02_0000, 0xffff_ffff, 40 | 1 << 32, u64::MAX];
    words
        .into_iter()
        .chain(large)
        .flat_map(|first| [[first, 0, 0, 0, 0, 0], [first, 1, 9, 0, 0, 0]])
        .collect()
}

/// The calls that are answered differently: what docker does and what orca does.
fn compared(theirs: &[u8], ours: &[u8]) -> BTreeMap<&'static str, BTreeSet<(String, String)>> {
    let word = |code: u32| match code {
        0x7fff_0000 => "allowed".to_owned(),
        code if code >> 16 == 5 => format!("errno {}", code & 0xffff),
        code => format!("{code:#x}"),
    };
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for (name, number) in names_of_calls(Arch::X86_64) {
        for args in arguments() {
            let (theirs, ours) = (answer(theirs, number, args), answer(ours, number, args));
            if theirs != ours {
                found.entry(name).or_default().insert((word(theirs), word(ours)));
            }
        }
    }
    found
}

/// The rights that a bundle's process has.
fn rights(config: &Value) -> CapSet {
    let names = config["process"]["capabilities"]["bounding"].as_array();
    CapSet::parse(names.into_iter().flatten().filter_map(Value::as_str)).unwrap()
}

#[test]
fn the_default_filter_is_dockers_but_for_a_written_list() {
    let docker = Docker::new();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for options in [
        &[][..],
        &["--cap-drop", "ALL"],
        &["--cap-add", "ALL"],
        &["--cap-add", "SYS_ADMIN"],
        &["--cap-add", "SYS_PTRACE"],
        &["--cap-add", "SYS_TIME", "--cap-add", "SYS_BOOT", "--cap-add", "SYS_NICE"],
        &["--cap-add", "DAC_READ_SEARCH", "--cap-add", "SYSLOG", "--cap-add", "SYS_MODULE"],
        &["--cap-add", "SYS_RAWIO", "--cap-add", "SYS_PACCT", "--cap-add", "SYS_TTY_CONFIG"],
        &["--cap-drop", "AUDIT_WRITE", "--cap-drop", "SYS_CHROOT"],
    ] {
        let config = docker.bundle(options);
        let caps = rights(&config);
        let text = serde_json::to_vec(&config["linux"]["seccomp"]).unwrap();
        let theirs = compile(&Profile::from_json(&text, &caps).unwrap()).unwrap().bytes;
        let ours = default_program(&caps).unwrap();
        for (name, how) in compared(&theirs, &ours) {
            if is_known(name) {
                seen.insert(name);
            } else {
                wrong.push(format!("{options:?}: {name}: {how:?}"));
            }
        }
    }
    docker.end();
    assert!(wrong.is_empty(), "docker and orca differ:\n{}", wrong.join("\n"));
    let known = DIFFERENCES.iter().flat_map(|(_, names)| *names);
    let gone: Vec<_> = known.filter(|name| !seen.contains(*name)).collect();
    assert!(gone.is_empty(), "these do not differ any more: {gone:?}");
    let page = repository().join("docs/threat-model.md");
    let page = std::fs::read_to_string(page).unwrap();
    let known = DIFFERENCES.iter().flat_map(|(_, names)| *names);
    let untold: Vec<_> = known.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(untold.is_empty(), "docs/threat-model.md does not tell of {untold:?}");
}
