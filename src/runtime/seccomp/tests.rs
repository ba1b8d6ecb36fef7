//! Programs are run by an interpreter of classic BPF and compared with a plain reading of the
//! profile; one is loaded for real.

use std::thread;

use super::*;

use crate::runtime::capabilities::{Capability, default_set};
use crate::sys::seccomp::{load_filter, promise_no_new_privileges};

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
struct Call {
    arch: u32,
    number: u32,
    args: [u64; 6],
}

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;

/// What the kernel would answer.
fn run(program: &[u8], call: Call) -> u32 {
    let mut data = [0; 64];
    data[..4].copy_from_slice(&call.number.to_le_bytes());
    data[4..8].copy_from_slice(&call.arch.to_le_bytes());
    for (index, arg) in call.args.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&arg.to_le_bytes());
    }
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
    let (mut at, mut a) = (0, 0);
    loop {
        let one = &program[8 * at..8 * at + 8];
        let k = u32::from_le_bytes(one[4..].try_into().unwrap());
        let jump = |yes: bool| usize::from(if yes { one[2] } else { one[3] });
        at += 1;
        match u16::from_le_bytes([one[0], one[1]]) {
            0x20 => a = word(k as usize),
            0x54 => a &= k,
            0x06 => return k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// The rules of each call of each architecture, in order.
type Rules<'a> = BTreeMap<(Arch, u32), Vec<&'a Rule>>;

fn rules_by_call(profile: &Profile) -> Rules<'_> {
    let mut rules = Rules::new();
    for rule in &profile.rules {
        for name in &rule.names {
            for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Arm, Arch::Aarch64] {
                if let Some(number) = numbers::number(arch, name) {
                    rules.entry((arch, number)).or_default().push(rule);
                }
            }
        }
    }
    rules
}

/// What the profile says, read rule by rule.
fn meaning(profile: &Profile, rules: &Rules<'_>, call: Call) -> u32 {
    let is_x32 = call.arch == X86_64 && call.number >= 0x4000_0000 && call.number != u32::MAX;
    let arch = match call.arch {
        X86_64 if is_x32 => Arch::X32,
        X86_64 => Arch::X86_64,
        X86 => Arch::X86,
        0x4000_0028 => Arch::Arm,
        0xc000_00b7 => Arch::Aarch64,
        _ => return KILL,
    };
    let known = profile.architectures.contains(&arch);
    let withdrawn = call.number == u32::MAX;
    let same_audit = profile.architectures.iter().any(|one| one.audit() == call.arch);
    if !(known || withdrawn && same_audit) {
        return KILL;
    }
    let holds = |argument: &Argument| {
        let arg = call.args[usize::from(argument.index)];
        match argument.comparison {
            Comparison::Equal => arg == argument.value,
            Comparison::NotEqual => arg != argument.value,
            Comparison::Less => arg < argument.value,
            Comparison::LessOrEqual => arg <= argument.value,
            Comparison::Greater => arg > argument.value,
            Comparison::GreaterOrEqual => arg >= argument.value,
            Comparison::MaskedEqual(mask) => arg & mask == argument.value & mask,
        }
    };
    let mut rules = rules.get(&(arch, call.number)).into_iter().flatten();
    let conditional =
        rules.clone().find(|rule| !rule.arguments.is_empty() && rule.arguments.iter().all(holds));
    let rule = conditional.or_else(|| rules.find(|rule| rule.arguments.is_empty()));
    rule.map_or(profile.default, |rule| rule.action).code()
}

/// Numbers around those of every call of every architecture, and odd ones.
fn all_numbers() -> Vec<u32> {
    let odd = [0, 1 << 30, (1 << 30) - 1, (1 << 30) + 547, (1 << 31) + 1, u32::MAX - 1];
    let known = numbers::CALLS.iter().flat_map(|(_, numbers)| *numbers);
    let mut all: Vec<u32> = known
        .chain(odd)
        .flat_map(|number| [number.wrapping_sub(1), number, number.wrapping_add(1)])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn check(profile: &Profile, values: &[u64]) {
    let program = compile(profile).unwrap().bytes;
    let rules = rules_by_call(profile);
    let numbers = all_numbers();
    let audits = [X86_64, X86, 0x4000_0028, 0xc000_00b7, 0, u32::MAX];
    for arch in audits {
        for number in &numbers {
            for value in values {
                let call = Call {
                    arch,
                    number: *number,
                    args: [*value, !value, 0, *value, 7, value << 1],
                };
                assert_eq!(run(&program, call), meaning(profile, &rules, call), "{call:x?}");
            }
        }
    }
}

fn answer(caps: CapSet, name: &str, args: [u64; 6]) -> u32 {
    let program = default_program(&caps).unwrap();
    let number = numbers::number(Arch::NATIVE, name).unwrap();
    run(&program, Call { arch: Arch::NATIVE.audit(), number, args })
}

const VALUES: [u64; 9] = [0, 8, 38, 40, 0x2_0008, 0x1000_0000, 0xffff_ffff, 40 | 1 << 32, u64::MAX];

#[test]
fn the_default_programs_mean_what_the_default_profile_says() {
    for caps in [CapSet::EMPTY, default_set(), CapSet::all()] {
        check(&default::profile(caps), &VALUES);
    }
}

#[test]
fn each_capability_brings_its_calls() {
    for number in 0..=40 {
        let caps = CapSet(1 << number);
        compile(&default::profile(caps)).unwrap();
    }
    let none = [0; 6];
    for (capability, name) in [
        (Capability::SYS_ADMIN, "mount"),
        (Capability::SYS_ADMIN, "unshare"),
        (Capability::SYS_BOOT, "reboot"),
        (Capability::SYS_TIME, "settimeofday"),
        (Capability::SYS_NICE, "mbind"),
        (Capability::BPF, "bpf"),
        (Capability::SYSLOG, "syslog"),
    ] {
        assert_eq!(answer(default_set(), name, none), EPERM, "{name}");
        assert_eq!(answer(default_set().with(capability), name, none), ALLOW, "{name}");
    }
}

#[test]
fn no_container_has_the_calls_that_are_left_out() {
    for name in [
        "io_uring_setup",
        "io_uring_enter",
        "keyctl",
        "add_key",
        "request_key",
        "userfaultfd",
        "kexec_load",
        "swapon",
        "nfsservctl",
        "pivot_root",
    ] {
        for caps in [default_set(), CapSet::all()] {
            assert_eq!(answer(caps, name, [0; 6]), EPERM, "{name}");
        }
    }
}

#[test]
fn a_new_namespace_needs_a_capability_whatever_call_makes_it() {
    let admin = default_set().with(Capability::SYS_ADMIN);
    let with = |flags| [flags, 0, 0, 0, 0, 0];
    assert_eq!(answer(default_set(), "clone", with(0x3d_0f00)), ALLOW);
    assert_eq!(answer(default_set(), "clone", with(0x1000_0000)), EPERM);
    assert_eq!(answer(default_set(), "clone", with(0x0200_0000)), EPERM);
    assert_eq!(answer(admin, "clone", with(0x1000_0000)), ALLOW);
    assert_eq!(answer(default_set(), "clone3", [0; 6]), ENOSYS);
    assert_eq!(answer(admin, "clone3", [0; 6]), ALLOW);
}

#[test]
fn sockets_to_the_host_of_a_virtual_machine_are_refused_in_any_disguise() {
    for family in [38, 40, 40 | 1 << 32, 38 | 0xffff_ffff << 32] {
        assert_eq!(answer(default_set(), "socket", [family, 1, 0, 0, 0, 0]), EPERM, "{family:#x}");
    }
    for family in [1, 2, 10, 16, 17, 39, 41] {
        assert_eq!(answer(default_set(), "socket", [family, 1, 0, 0, 0, 0]), ALLOW, "{family}");
    }
}

#[test]
fn another_architecture_kills() {
    let program = default_program(&default_set()).unwrap();
    let call = Call { arch: 0x8000_0016, number: 0, args: [0; 6] };
    assert_eq!(run(&program, call), KILL);
}

#[test]
fn without_x32_its_bit_is_no_way_round() {
    let open = Profile {
        default: Action::Allow,
        architectures: vec![Arch::X86_64],
        flags: 0,
        rules: Vec::new(),
    };
    let program = compile(&open).unwrap().bytes;
    let call = |number| Call { arch: X86_64, number, args: [0; 6] };
    assert_eq!(run(&program, call(101)), ALLOW);
    assert_eq!(run(&program, call(101 | 1 << 30)), KILL);
    check(&open, &[0]);
}

#[test]
fn a_program_is_made_once_for_a_set() {
    let caps = CapSet(0b1010_1010);
    let (one, two) = (default_program(&caps).unwrap(), default_program(&caps).unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert!(one.len() / 8 < 900, "{} instructions", one.len() / 8);
}

#[test]
fn the_table_is_sorted_and_agrees_with_the_library() {
    assert!(numbers::CALLS.is_sorted_by(|(one, _), (two, _)| one < two));
    let library = [
        ("read", libc::SYS_read),
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("execve", libc::SYS_execve),
        ("socket", libc::SYS_socket),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
        ("mount_setattr", libc::SYS_mount_setattr),
    ];
    for (name, number) in library {
        let ours = numbers::number(Arch::NATIVE, name).map(i64::from);
        assert_eq!(ours, Some(number), "{name}");
    }
}

#[test]
fn the_kernel_takes_the_default_program_and_obeys_it() {
    let program = default_program(&default_set()).unwrap();
    // A filter holds for the thread that loads it.
    let thread = thread::spawn(move || {
        promise_no_new_privileges().unwrap();
        load_filter(&program, 0).unwrap();
        let file = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS);
        let key = rustix::net::socket(
            rustix::net::AddressFamily::from_raw(40),
            rustix::net::SocketType::STREAM,
            None,
        );
        let inet = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        );
        (file, unshared, key.map(drop), inet.is_ok())
    });
    let (status, unshared, vsock, inet) = thread.join().unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert_eq!(unshared, Err(nix::Error::EPERM));
    assert_eq!(vsock, Err(rustix::io::Errno::PERM));
    assert!(inet);
    assert!(load_filter(&[0; 7], 0).is_err());
}

#[test]
fn a_profile_of_docker_is_read_with_its_conditions() {
    let text = br#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_S390X", "subArchitectures": null}
        ],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [
            {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"name": "bpf", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["kcmp"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "400.1"}},
            {"names": ["acct"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
            {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS",
             "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"},
                      {"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}]}
        ]
    }"#;
    let profile = Profile::from_json(text, &CapSet::EMPTY).unwrap();
    assert_eq!(profile.flags, 2);
    assert_eq!(profile.architectures.len(), 2);
    let program = compile(&profile).unwrap().bytes;
    let answer = |name, second| {
        let number = numbers::number(Arch::NATIVE, name).unwrap();
        let args = [0, second, 0, 0, 0, 0];
        run(&program, Call { arch: Arch::NATIVE.audit(), number, args })
    };
    assert_eq!(answer("read", 0), ALLOW);
    assert_eq!(answer("bpf", 0), ENOSYS);
    assert_eq!(answer("ptrace", 0), ALLOW);
    assert_eq!(answer("kcmp", 0), ENOSYS);
    assert_eq!(answer("acct", 0), ENOSYS);
    assert_eq!(answer("mount", 0), ALLOW);
    assert_eq!((answer("kill", 9), answer("kill", 15), answer("kill", 1)), (KILL, KILL, ENOSYS));
    let more =
        Profile::from_json(text, &CapSet::of(&[Capability::BPF, Capability::CHOWN])).unwrap();
    let names: Vec<_> = more.rules.iter().map(|rule| rule.names[0].as_str()).collect();
    assert_eq!(names, ["read", "bpf", "ptrace", "kill", "kill"]);
}

#[test]
fn a_profile_that_cannot_be_used_is_told() {
    let told = |text: &str| {
        let profile = Profile::from_json(text.as_bytes(), &CapSet::EMPTY);
        profile.and_then(|profile| compile(&profile)).unwrap_err().to_string()
    };
    let with = |entry: &str| told(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW",{entry}}}"#));
    let call = |call: &str| with(&format!(r#""syscalls":[{{"names":["read"],{call}}}]"#));
    assert_eq!(told("{"), "cannot read the seccomp profile");
    assert!(told(r#"{"defaultAction":"ALLOW"}"#).contains("the action \"ALLOW\""));
    assert!(told(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#).contains("needs a listener"));
    assert!(with(r#""architectures":["SCMP_ARCH_VAX"]"#).contains("SCMP_ARCH_VAX"));
    assert!(with(r#""flags":["X"]"#).contains("the flag \"X\""));
    assert!(with(r#""syscalls":[{"action":"SCMP_ACT_LOG"}]"#).contains("names no system call"));
    assert!(call(r#""action":"SCMP_ACT_ERRNO","errnoRet":5000"#).contains("5000"));
    let arg = |index: u32, op: &str| {
        call(&format!(
            r#""action":"SCMP_ACT_LOG","args":[{{"index":{index},"value":1,"op":"{op}"}}]"#
        ))
    };
    assert!(arg(6, "SCMP_CMP_EQ").contains("0 to 5, not 6"));
    assert!(arg(1, "EQ").contains("the operator \"EQ\""));
    assert!(told(&" ".repeat(2 << 20)).contains("larger than 1048576"));
    let many = vec![r#"{"index":0,"value":1,"op":"SCMP_CMP_EQ"}"#; 2000].join(",");
    let long = call(&format!(r#""action":"SCMP_ACT_LOG","args":[{many}]"#));
    assert!(long.contains("the kernel takes 4096"), "{long}");
}

fn any_argument() -> impl proptest::strategy::Strategy<Value = Argument> {
    use proptest::prelude::*;
    let value = prop_oneof![proptest::sample::select(VALUES.to_vec()), any::<u64>(),];
    let comparison = prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
        any::<u64>().prop_map(Comparison::MaskedEqual),
    ];
    (0..6_u8, comparison, value).prop_map(|(index, comparison, value)| Argument {
        index,
        comparison,
        value,
    })
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(8))]

    #[test]
    fn any_profile_is_compiled_to_what_it_means(
        rules in proptest::collection::vec(
            (
                proptest::collection::vec(0..numbers::CALLS.len(), 1..40),
                0..4_u16,
                proptest::collection::vec(any_argument(), 0..3),
            ),
            0..40,
        ),
        archs: u8,
    ) {
        let all = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Arm, Arch::Aarch64];
        let mut architectures: Vec<Arch> =
            (0..5).filter(|bit| archs & 1 << bit != 0).map(|bit| all[bit]).collect();
        if architectures.is_empty() {
            architectures.push(Arch::X86_64);
        }
        let rules = rules.into_iter().map(|(calls, action, arguments)| Rule {
            names: calls.iter().map(|call| numbers::CALLS[*call].0.to_owned()).collect(),
            action: [Action::Allow, Action::Errno(7), Action::Trap, Action::Log][usize::from(action)],
            arguments,
        });
        let profile = Profile {
            default: Action::Errno(1),
            architectures,
            flags: 0,
            rules: rules.collect(),
        };
        // Some are too long for the kernel.
        if compile(&profile).is_ok() {
            check(&profile, &[0, 40, 40 | 1 << 32, u64::MAX]);
        }
    }
}
