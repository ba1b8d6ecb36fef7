//! `process`: the program, its user, and its rights.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;

use oci_spec::runtime::{
    Capabilities as SpecCapabilities, IOPriorityClass, Linux, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType,
    PosixRlimit, Process, Scheduler as SpecScheduler, Spec,
};

use super::super::super::capabilities::CapSet;
use super::super::super::compile::{Unfit, path, text};
use super::super::super::init::LIMITS;
use super::super::super::plan::{Capabilities, ProcessPlan, Scheduler, Tuning};
use super::super::super::wire::Blob;
use super::super::bundle::ignoring;
use super::super::error::Result;
use super::{labels, seccomp};

/// A program that is asked for.
#[derive(Debug)]
pub(in crate::runtime::oci) struct Asked {
    /// The program and what it may do.
    pub plan: ProcessPlan,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// The size of that: rows and columns.
    pub size: Option<(u16, u16)>,
}

/// The container's own program.
pub(super) fn first(spec: &Spec, warnings: &mut Vec<String>) -> Result<Asked> {
    let process = spec.process().as_ref().ok_or_else(|| Unfit("process is missing".to_owned()))?;
    of(process, spec.linux().as_ref(), true, warnings)
}

/// A further program in a container that was made from `spec`.
pub(in crate::runtime::oci) fn exec(
    process: &Process,
    spec: &Spec,
    warnings: &mut Vec<String>,
) -> Result<Asked> {
    let mut asked = of(process, spec.linux().as_ref(), false, warnings)?;
    let cpus =
        process.exec_cpu_affinity().as_ref().and_then(|cpus| cpus.cpu_affinity_final().clone());
    asked.plan.tuning.affinity = cpus.as_deref().map(cpu_words).transpose()?;
    Ok(asked)
}

/// The CPUs that the runtime itself is to run on from the beginning of an `exec`.
pub(in crate::runtime::oci) fn initial_cpus(process: &Process) -> Result<Option<Vec<u64>>> {
    let cpus = process.exec_cpu_affinity().as_ref().and_then(|cpus| cpus.initial().clone());
    cpus.as_deref().map(cpu_words).transpose()
}

fn of(
    process: &Process,
    linux: Option<&Linux>,
    first: bool,
    warnings: &mut Vec<String>,
) -> Result<Asked> {
    let terminal = process.terminal().unwrap_or(false);
    let filter = linux.and_then(|linux| linux.seccomp().as_ref());
    let (seccomp, seccomp_flags) =
        filter.map(seccomp::filter).transpose()?.unwrap_or((Blob::default(), 0));
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().map(u32::to_string).collect();
    let plan = ProcessPlan {
        args: args(process)?,
        env: env(process)?,
        cwd: cwd(process)?,
        make_cwd: first,
        user: format!("{}:{}", user.uid(), user.gid()),
        groups,
        first_among_groups: false,
        capabilities: capabilities(process, warnings),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        seccomp,
        seccomp_flags,
        oom_score_adj: process.oom_score_adj(),
        rlimits: limits(process.rlimits().as_deref().unwrap_or_default())?,
        tuning: tuning(process, linux)?,
    };
    let size = process.console_size().filter(|_| terminal).and_then(|size| {
        Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?))
    });
    Ok(Asked { plan, terminal, size })
}

fn args(process: &Process) -> Result<Vec<CString>> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(Unfit("process.args is empty: there is no program to run".to_owned()).into());
    }
    Ok(args.iter().map(|arg| text(arg)).collect::<std::result::Result<_, _>>()?)
}

fn env(process: &Process) -> Result<Vec<CString>> {
    let variable = |one: &String| match one.split_once('=') {
        Some((name, _)) if !name.is_empty() => text(one),
        _ => Err(Unfit(format!("process.env: {one:?} is not of the form NAME=VALUE"))),
    };
    let env = process.env().iter().flatten();
    Ok(env.map(variable).collect::<std::result::Result<_, _>>()?)
}

fn cwd(process: &Process) -> Result<CString> {
    let cwd = process.cwd();
    if cwd.as_os_str().as_bytes().first() != Some(&b'/') {
        let text = format!("process.cwd {:?} is not an absolute path", cwd.display());
        return Err(Unfit(text).into());
    }
    Ok(path(cwd)?)
}

/// What the kernel does not have is told of and passed over, as the specification wants it.
fn capabilities(process: &Process, warnings: &mut Vec<String>) -> Capabilities {
    let Some(sets) = process.capabilities() else { return Capabilities::default() };
    let mut unknown = BTreeSet::new();
    let mut set = |asked: &Option<SpecCapabilities>| {
        let mut bits = 0;
        for name in asked.iter().flatten().map(|capability| format!("CAP_{capability}")) {
            match CapSet::parse([name.as_str()]) {
                Ok(known) if known.0 & CapSet::all().0 == known.0 => bits |= known.0,
                _ => drop(unknown.insert(name)),
            }
        }
        bits
    };
    let (bounding, effective) = (set(sets.bounding()), set(sets.effective()));
    let (permitted, inheritable) = (set(sets.permitted()), set(sets.inheritable()));
    let ambient = set(sets.ambient());
    warnings.extend(ignoring(&unknown));
    let unfounded = ambient & !(permitted & inheritable);
    if unfounded != 0 {
        let lost = CapSet(unfounded);
        warnings.push(format!("{lost}: ambient only where permitted and inheritable as well"));
    }
    Capabilities { bounding, effective, permitted, inheritable, ambient }
}

type Limit = (u32, (u64, u64));

fn limits(limits: &[PosixRlimit]) -> Result<Vec<Limit>> {
    let mut all: Vec<Limit> = Vec::new();
    for limit in limits {
        let name = limit.typ().to_string();
        let short = name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
        let place = LIMITS.iter().position(|(known, _)| *known == short);
        let place = place.and_then(|place| u32::try_from(place).ok());
        let place = place.ok_or_else(|| Unfit(format!("process.rlimits: there is no {name}")))?;
        if all.iter().any(|(other, _)| *other == place) {
            return Err(Unfit(format!("process.rlimits lists {name} twice")).into());
        }
        if limit.soft() > limit.hard() {
            let text = format!("process.rlimits: the soft limit of {name} is above the hard one");
            return Err(Unfit(text).into());
        }
        all.push((place, (limit.soft(), limit.hard())));
    }
    Ok(all)
}

fn tuning(process: &Process, linux: Option<&Linux>) -> Result<Tuning> {
    let umask = process.user().umask();
    let io_priority = process.io_priority().as_ref().map(|asked| {
        let class = match asked.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = i32::try_from(asked.priority()).ok().filter(|level| (0..=7).contains(level));
        level.map(|level| (class << 13) | level).ok_or_else(|| {
            Unfit(format!("process.ioPriority.priority is 0 to 7, not {}", asked.priority()))
        })
    });
    Ok(Tuning {
        umask,
        scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: io_priority.transpose()?,
        personality: linux.map(personality).transpose()?.flatten(),
        affinity: None,
        memory_policy: linux.map(memory_policy).transpose()?.flatten(),
        labels: labels::of(process)?,
    })
}

fn scheduler(asked: &SpecScheduler) -> Result<Scheduler> {
    let policy = match asked.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let priority = u32::try_from(asked.priority().unwrap_or(0))
        .map_err(|_| Unfit("process.scheduler.priority cannot be below 0".to_owned()))?;
    Ok(Scheduler {
        policy,
        flags: asked.flags().iter().flatten().map(flag).fold(0, |all, one| all | one),
        nice: asked.nice().unwrap_or(0),
        priority,
        runtime: asked.runtime().unwrap_or(0),
        deadline: asked.deadline().unwrap_or(0),
        period: asked.period().unwrap_or(0),
    })
}

fn personality(linux: &Linux) -> Result<Option<u32>> {
    let Some(asked) = linux.personality() else { return Ok(None) };
    if asked.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(Unfit("linux.personality.flags: there are none".to_owned()).into());
    }
    Ok(Some(match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}

fn memory_policy(linux: &Linux) -> Result<Option<(u32, Vec<u64>)>> {
    let Some(asked) = linux.memory_policy() else { return Ok(None) };
    let mode = match asked.mode() {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let flag = |flag: &MemoryPolicyFlagType| match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    };
    let flags = asked.flags().iter().flatten().map(flag).fold(0, |all, one| all | one);
    let nodes = match asked.nodes().as_deref().unwrap_or_default() {
        "" => Vec::new(),
        nodes => cpu_words(nodes)?,
    };
    Ok(Some((mode | flags, nodes)))
}

/// A list such as `0-2,4`, as bits in words of 64.
pub(super) fn cpu_words(list: &str) -> Result<Vec<u64>> {
    const MOST: usize = 8192;
    let invalid = || Unfit(format!("{list:?} is not a list of numbers such as 0-2,4"));
    let mut words: Vec<u64> = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| invalid());
        let (from, to) = (number(from)?, number(to)?);
        if from > to || to >= MOST {
            return Err(invalid().into());
        }
        words.resize(words.len().max(to / 64 + 1), 0);
        for one in from..=to {
            words[one / 64] |= 1 << (one % 64);
        }
    }
    if words.is_empty() { Err(invalid().into()) } else { Ok(words) }
}
