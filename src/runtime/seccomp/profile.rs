//! What a filter does, in words.

/// An architecture whose system calls a filter can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    X86,
    /// 32-bit pointers on 64-bit x86: the calls of x86-64 with a bit set.
    X32,
    /// 32-bit arm.
    Arm,
    /// 64-bit arm.
    Aarch64,
}

impl Arch {
    /// The one this program is built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The one this program is built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// All whose calls the kernel may take here.
    pub fn all() -> Vec<Self> {
        match Self::NATIVE {
            Self::Aarch64 | Self::Arm => vec![Self::Aarch64, Self::Arm],
            _ => vec![Self::X86_64, Self::X86, Self::X32],
        }
    }

    /// `AUDIT_ARCH_*`: what the kernel says it is.
    pub(super) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Arm => 0x4000_0028,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// The process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// It is made, and the audit log tells of it.
    Log,
    /// A tracer is asked, with this number.
    Trace(u16),
    /// Whoever listens to the filter is asked. Only for profiles that come with a listener.
    Notify,
}

impl Action {
    /// `SECCOMP_RET_*`, with its data.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Log => 0x7ffc_0000,
            Self::Trace(data) => 0x7ff0_0000 | u32::from(data),
            Self::Notify => 0x7fc0_0000,
        }
    }
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Equal in the bits of this mask.
    MaskedEqual(u64),
}

/// A test of one argument, as 64 unsigned bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// 0 to 5.
    pub index: u8,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// What happens to some calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Their names. Names that an architecture does not have mean nothing on it.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// Only if all of these are so.
    pub arguments: Vec<Argument>,
}

/// What happens to every call. Of the rules for a call, those with arguments are tried first, in
/// order; then the first one without; then the default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What happens to calls without a rule.
    pub default: Action,
    /// The architectures it is for; a call of any other kills the process.
    pub architectures: Vec<Arch>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// The rules.
    pub rules: Vec<Rule>,
}
