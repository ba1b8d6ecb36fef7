//! `linux.seccomp`, as a filter.

use oci_spec::runtime::{
    Arch as SpecArch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};

use super::super::super::compile::Unfit;
use super::super::super::seccomp::{
    self, Action, Arch, Argument, Comparison, Profile, Rule, SeccompError,
};
use super::super::super::wire::Blob;
use super::super::error::Result;
use crate::sys::seccomp::NEW_LISTENER;

/// The filter and its flags.
pub(super) fn filter(seccomp: &LinuxSeccomp) -> Result<(Blob, u32)> {
    let unfit = |error: SeccompError| Unfit(format!("linux.seccomp: {error}"));
    let profile = profile(seccomp).map_err(unfit)?;
    let program = seccomp::compile(&profile).map_err(unfit)?;
    let mut flags = program.flags;
    if profile.rules.iter().any(|rule| rule.action == Action::Notify) {
        if seccomp.listener_path().is_none() {
            let text = "linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath";
            return Err(Unfit(text.to_owned()).into());
        }
        // The program begins with one thread: there is nothing to synchronise, which the kernel does
        // not do for a filter that asks.
        flags = (flags & !SYNCHRONISE) | NEW_LISTENER;
    } else if flags & WAIT_KILLABLE != 0 {
        let text = "linux.seccomp: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs SCMP_ACT_NOTIFY";
        return Err(Unfit(text.to_owned()).into());
    }
    Ok((Blob(program.bytes.to_vec()), flags))
}

/// `SECCOMP_FILTER_FLAG_TSYNC`.
const SYNCHRONISE: u32 = 1;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
const WAIT_KILLABLE: u32 = 1 << 5;

fn profile(seccomp: &LinuxSeccomp) -> std::result::Result<Profile, SeccompError> {
    let mut rules = Vec::new();
    for call in seccomp.syscalls().iter().flatten() {
        rules.extend(rules_of(call)?);
    }
    let mut architectures = vec![Arch::NATIVE];
    let named = seccomp.architectures().iter().flatten().filter_map(|arch| self::arch(*arch));
    architectures.extend(named.filter(|arch| *arch != Arch::NATIVE));
    let flags: u32 = match seccomp.flags() {
        // What runc does where nothing is said.
        None => SPEC_ALLOW,
        Some(flags) => {
            flags.iter().try_fold(0, |all, flag| Ok::<_, SeccompError>(all | self::flag(*flag)?))?
        }
    };
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    if default == Action::Notify {
        // The runtime's own last calls would be asked about, and nobody listens yet.
        let text = "SCMP_ACT_NOTIFY cannot be the default action";
        return Err(SeccompError::Invalid(text.to_owned()));
    }
    let asks = |rule: &&Rule| rule.action == Action::Notify;
    if rules.iter().filter(asks).any(|rule| rule.names.iter().any(|name| name == "write")) {
        let text = "SCMP_ACT_NOTIFY cannot be for write: the listener is told of by it";
        return Err(SeccompError::Invalid(text.to_owned()));
    }
    Ok(Profile { default, architectures, flags, rules })
}

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
const SPEC_ALLOW: u32 = 4;

fn flag(flag: LinuxSeccompFilterFlag) -> std::result::Result<u32, SeccompError> {
    Ok(match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => SYNCHRONISE,
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => 2,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => WAIT_KILLABLE,
    })
}

/// `None` for those that this program does not run on.
fn arch(arch: SpecArch) -> Option<Arch> {
    match arch {
        SpecArch::ScmpArchX86_64 => Some(Arch::X86_64),
        SpecArch::ScmpArchX86 => Some(Arch::X86),
        SpecArch::ScmpArchX32 => Some(Arch::X32),
        SpecArch::ScmpArchArm => Some(Arch::Arm),
        SpecArch::ScmpArchAarch64 => Some(Arch::Aarch64),
        _ => None,
    }
}

fn action(
    action: LinuxSeccompAction,
    errno: Option<u32>,
) -> std::result::Result<Action, SeccompError> {
    let data = |most: u16| {
        let errno = errno.unwrap_or(1);
        u16::try_from(errno).ok().filter(|errno| *errno <= most).ok_or_else(|| {
            SeccompError::Invalid(format!("{errno} is not an error number: they are 0 to {most}"))
        })
    };
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(data(4095)?),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            Action::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActTrace => Action::Trace(data(u16::MAX)?),
        LinuxSeccompAction::ScmpActNotify => Action::Notify,
    })
}

/// The rules of one entry. Of tests of the same argument, one is enough, as in runc.
fn rules_of(call: &LinuxSyscall) -> std::result::Result<Vec<Rule>, SeccompError> {
    if call.names().is_empty() {
        return Err(SeccompError::Invalid("an entry names no system call".to_owned()));
    }
    let action = action(call.action(), call.errno_ret())?;
    let arguments =
        call.args().iter().flatten().map(argument).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut seen = [false; 6];
    let twice =
        arguments.iter().any(|one| std::mem::replace(&mut seen[usize::from(one.index)], true));
    let groups: Vec<Vec<Argument>> =
        if twice { arguments.into_iter().map(|one| vec![one]).collect() } else { vec![arguments] };
    let rule = |arguments| Rule { names: call.names().clone(), action, arguments };
    Ok(groups.into_iter().map(rule).collect())
}

fn argument(arg: &LinuxSeccompArg) -> std::result::Result<Argument, SeccompError> {
    let index = u8::try_from(arg.index()).ok().filter(|index| *index < 6).ok_or_else(|| {
        SeccompError::Invalid(format!("system calls have arguments 0 to 5, not {}", arg.index()))
    })?;
    let value = arg.value();
    let (comparison, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Comparison::NotEqual, value),
        LinuxSeccompOperator::ScmpCmpLt => (Comparison::Less, value),
        LinuxSeccompOperator::ScmpCmpLe => (Comparison::LessOrEqual, value),
        LinuxSeccompOperator::ScmpCmpEq => (Comparison::Equal, value),
        LinuxSeccompOperator::ScmpCmpGe => (Comparison::GreaterOrEqual, value),
        LinuxSeccompOperator::ScmpCmpGt => (Comparison::Greater, value),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (Comparison::MaskedEqual(value), arg.value_two().unwrap_or(0))
        }
    };
    Ok(Argument { index, comparison, value })
}
