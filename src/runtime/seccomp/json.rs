//! Profiles as files: the runtime specification's `linux.seccomp`, and Docker's form of it, which
//! has rules for some capabilities, architectures and kernels only.

use serde::Deserialize;

use super::{Action, Arch, Argument, Comparison, Profile, Rule, SeccompError};

use crate::runtime::capabilities::{CapSet, Capability};

/// The largest profile that is read, in bytes.
const MAX_SIZE: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Call>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl Profile {
    /// Reads a profile for a container with these capabilities. Names of calls that no architecture
    /// has are passed over, as Docker does: a profile is older or newer than the kernel.
    ///
    /// # Errors
    /// If it is not JSON of the right shape, has an unknown action, architecture, operator or flag,
    /// or asks for what orca refuses.
    pub fn from_json(text: &[u8], caps: &CapSet) -> Result<Self, SeccompError> {
        if text.len() > MAX_SIZE {
            return Err(SeccompError::TooLarge(MAX_SIZE));
        }
        Self::from_file(serde_json::from_slice(text)?, caps)
    }

    fn from_file(file: File, caps: &CapSet) -> Result<Self, SeccompError> {
        let mut rules = Vec::new();
        for call in file.syscalls {
            if applies(&call, caps)? {
                rules.extend(rules_of(call)?);
            }
        }
        Ok(Self {
            default: action(&file.default_action, file.default_errno_ret)?,
            architectures: architectures(&file.architectures, &file.arch_map)?,
            flags: flags(&file.flags)?,
            rules,
        })
    }
}

/// The rules of one entry. Of tests of the same argument, one is enough, as in runc.
fn rules_of(call: Call) -> Result<Vec<Rule>, SeccompError> {
    let action = action(&call.action, call.errno_ret)?;
    let names: Vec<String> = call.names.into_iter().chain(call.name).collect();
    if names.is_empty() {
        return Err(SeccompError::Invalid("an entry names no system call".to_owned()));
    }
    let arguments =
        call.args.unwrap_or_default().iter().map(argument).collect::<Result<Vec<_>, _>>()?;
    let mut seen = [false; 6];
    let twice =
        arguments.iter().any(|one| std::mem::replace(&mut seen[usize::from(one.index)], true));
    let groups: Vec<Vec<Argument>> =
        if twice { arguments.into_iter().map(|one| vec![one]).collect() } else { vec![arguments] };
    Ok(groups
        .into_iter()
        .map(|arguments| Rule { names: names.clone(), action, arguments })
        .collect())
}

fn argument(arg: &Arg) -> Result<Argument, SeccompError> {
    if arg.index > 5 {
        let text = format!("system calls have arguments 0 to 5, not {}", arg.index);
        return Err(SeccompError::Invalid(text));
    }
    let (comparison, value) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (Comparison::NotEqual, arg.value),
        "SCMP_CMP_LT" => (Comparison::Less, arg.value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, arg.value),
        "SCMP_CMP_EQ" => (Comparison::Equal, arg.value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, arg.value),
        "SCMP_CMP_GT" => (Comparison::Greater, arg.value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual(arg.value), arg.value_two),
        other => return Err(unknown("the operator", other)),
    };
    Ok(Argument { index: arg.index, comparison, value })
}

fn action(name: &str, errno: Option<u32>) -> Result<Action, SeccompError> {
    let errno = errno.unwrap_or(1);
    let small = || {
        // The kernel's largest error number.
        u16::try_from(errno).ok().filter(|errno| *errno <= 4095).ok_or_else(|| {
            SeccompError::Invalid(format!("{errno} is not an error number: they are 0 to 4095"))
        })
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(small()?),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(u16::try_from(errno).map_err(|_| {
            SeccompError::Invalid(format!("{errno} is too large for SCMP_ACT_TRACE"))
        })?),
        "SCMP_ACT_NOTIFY" => return Err(SeccompError::Notify),
        other => return Err(unknown("the action", other)),
    })
}

/// The architectures: those listed, or those that go with the native one; always the native one.
fn architectures(listed: &[String], map: &[ArchMap]) -> Result<Vec<Arch>, SeccompError> {
    if !listed.is_empty() && !map.is_empty() {
        let text = "it has both architectures and archMap; one of them is enough";
        return Err(SeccompError::Invalid(text.to_owned()));
    }
    let mut names: Vec<&str> = listed.iter().map(String::as_str).collect();
    for entry in map {
        if arch(&entry.architecture)? == Some(Arch::NATIVE) {
            names.extend(entry.sub_architectures.iter().flatten().map(String::as_str));
        }
    }
    let mut found = vec![Arch::NATIVE];
    for name in names {
        found.extend(arch(name)?.filter(|arch| *arch != Arch::NATIVE));
    }
    Ok(found)
}

/// The architecture of a name; `None` for those orca does not run on.
fn arch(name: &str) -> Result<Option<Arch>, SeccompError> {
    const OTHERS: [&str; 19] = [
        "LOONGARCH64",
        "M68K",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PARISC",
        "PARISC64",
        "PPC",
        "PPC64",
        "PPC64LE",
        "RISCV64",
        "S390",
        "S390X",
        "SH",
        "SHEB",
        "NATIVE",
    ];
    match name.strip_prefix("SCMP_ARCH_") {
        Some("X86_64") => Ok(Some(Arch::X86_64)),
        Some("X86") => Ok(Some(Arch::X86)),
        Some("X32") => Ok(Some(Arch::X32)),
        Some("ARM") => Ok(Some(Arch::Arm)),
        Some("AARCH64") => Ok(Some(Arch::Aarch64)),
        Some(other) if OTHERS.contains(&other) => Ok(None),
        _ => Err(unknown("the architecture", name)),
    }
}

fn flags(names: &[String]) -> Result<u32, SeccompError> {
    names.iter().try_fold(0, |flags, name| {
        Ok(flags
            | match name.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" => 1,
                "SECCOMP_FILTER_FLAG_LOG" => 2,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => 4,
                // Only with a listener.
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => return Err(SeccompError::Notify),
                other => return Err(unknown("the flag", other)),
            })
    })
}

/// Whether an entry holds for a container with these capabilities, here.
fn applies(call: &Call, caps: &CapSet) -> Result<bool, SeccompError> {
    let none = Filter::default();
    let (includes, excludes) = (call.includes.as_ref(), call.excludes.as_ref());
    let (includes, excludes) = (includes.unwrap_or(&none), excludes.unwrap_or(&none));
    // A capability that orca does not know is one that no container has.
    let has = |name: &String| name.parse::<Capability>().is_ok_and(|cap| caps.has(cap));
    let native = match Arch::NATIVE {
        Arch::Aarch64 => "arm64",
        _ => "amd64",
    };
    let is_native = |name: &String| name == native;
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (caps_in, caps_out) = (list(&includes.caps), list(&excludes.caps));
    let (arches_in, arches_out) = (list(&includes.arches), list(&excludes.arches));
    let kernel = |least: &Option<String>| least.as_deref().map(kernel_is_at_least).transpose();
    Ok(!caps_out.iter().any(has)
        && !arches_out.iter().any(is_native)
        && kernel(&excludes.min_kernel)? != Some(true)
        && caps_in.iter().all(has)
        && (arches_in.is_empty() || arches_in.iter().any(is_native))
        && kernel(&includes.min_kernel)? != Some(false))
}

fn kernel_is_at_least(least: &str) -> Result<bool, SeccompError> {
    let version = |text: &str| {
        let mut numbers = text.split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..digits].parse::<u32>().ok()
        });
        Some((numbers.next()??, numbers.next()??))
    };
    let wanted = version(least).ok_or_else(|| unknown("the kernel version", least))?;
    let running = rustix::system::uname();
    let running = running.release().to_str().ok().and_then(version);
    Ok(running.is_some_and(|running| running >= wanted))
}

fn unknown(what: &'static str, word: &str) -> SeccompError {
    SeccompError::Unknown { what, word: word.chars().take(80).collect() }
}
