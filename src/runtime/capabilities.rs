//! The rights a process of a container holds: names, sets, and what a user's `cap_add` and
//! `cap_drop` make of the default set.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// One capability (`capabilities(7)`), by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

/// The capabilities of Linux up to 6.18, by number.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl Capability {
    /// Change owners of files.
    pub const CHOWN: Self = Self(0);
    /// Pass over permissions of files.
    pub const DAC_OVERRIDE: Self = Self(1);
    /// Read any file and search any directory.
    pub const DAC_READ_SEARCH: Self = Self(2);
    /// Do what else needs the owner of a file.
    pub const FOWNER: Self = Self(3);
    /// Keep set-user-id bits when a file changes.
    pub const FSETID: Self = Self(4);
    /// Signal any process.
    pub const KILL: Self = Self(5);
    /// Change group ids.
    pub const SETGID: Self = Self(6);
    /// Change user ids.
    pub const SETUID: Self = Self(7);
    /// Change capability sets.
    pub const SETPCAP: Self = Self(8);
    /// Bind ports below 1024.
    pub const NET_BIND_SERVICE: Self = Self(10);
    /// Configure networks.
    pub const NET_ADMIN: Self = Self(12);
    /// Use raw sockets.
    pub const NET_RAW: Self = Self(13);
    /// Load kernel modules.
    pub const SYS_MODULE: Self = Self(16);
    /// Access I/O ports.
    pub const SYS_RAWIO: Self = Self(17);
    /// Use `chroot`.
    pub const SYS_CHROOT: Self = Self(18);
    /// Trace any process.
    pub const SYS_PTRACE: Self = Self(19);
    /// Process accounting.
    pub const SYS_PACCT: Self = Self(20);
    /// Nearly everything.
    pub const SYS_ADMIN: Self = Self(21);
    /// Reboot.
    pub const SYS_BOOT: Self = Self(22);
    /// Raise priorities.
    pub const SYS_NICE: Self = Self(23);
    /// Raise limits.
    pub const SYS_RESOURCE: Self = Self(24);
    /// Set clocks.
    pub const SYS_TIME: Self = Self(25);
    /// Configure terminals.
    pub const SYS_TTY_CONFIG: Self = Self(26);
    /// Make device nodes.
    pub const MKNOD: Self = Self(27);
    /// Write to the audit log.
    pub const AUDIT_WRITE: Self = Self(29);
    /// Set capabilities of files.
    pub const SETFCAP: Self = Self(31);
    /// Read the kernel's log.
    pub const SYSLOG: Self = Self(34);
    /// Watch performance counters.
    pub const PERFMON: Self = Self(38);
    /// Load BPF programs.
    pub const BPF: Self = Self(39);

    /// Its number in the kernel.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its name in full, such as `CAP_NET_RAW`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

impl FromStr for Capability {
    type Err = CapabilityError;

    /// Reads a name with or without `CAP_`, in either case.
    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        let name = canonical(text);
        (0..=40)
            .map(Self)
            .find(|capability| capability.name() == name)
            .ok_or_else(|| CapabilityError::Unknown { name: text.to_owned(), hint: hint(&name) })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities: bit n is capability number n, as the kernel has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No rights.
    pub const EMPTY: Self = Self(0);

    /// A set of these.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < capabilities.len() {
            bits |= 1 << capabilities[index].0;
            index += 1;
        }
        Self(bits)
    }

    /// All that the running kernel knows. Numbers without a name here are included: a privileged
    /// container has what the host has.
    pub fn all() -> Self {
        static ALL: OnceLock<CapSet> = OnceLock::new();
        *ALL.get_or_init(|| {
            let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
                .ok()
                .and_then(|text| text.trim().parse::<u32>().ok())
                .unwrap_or(40)
                .min(63);
            Self(u64::MAX >> (63 - last))
        })
    }

    /// Whether `capability` is in it.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    /// With `capability` as well.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | (1 << capability.0))
    }

    /// Without `capability`.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability.0))
    }

    /// Its members that have a name, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..=40).map(Capability).filter(move |capability| self.has(*capability))
    }

    /// Reads names, as `config.json` lists them.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, CapabilityError> {
        names.into_iter().try_fold(Self::EMPTY, |set, name| Ok(set.with(name.parse()?)))
    }
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.iter().enumerate() {
            write!(f, "{}{capability}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A capability that cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// No such name.
    #[error("there is no capability {name:?}{hint}")]
    Unknown {
        /// What was written.
        name: String,
        /// A sentence with the nearest name, or nothing.
        hint: String,
    },
    /// The name is right, the kernel is too old for it.
    #[error("this kernel does not know the capability {0}")]
    NotInKernel(Capability),
}

/// The rights of a container that asks for nothing: the fourteen that Docker gives.
pub const fn default_set() -> CapSet {
    CapSet::of(&[
        Capability::CHOWN,
        Capability::DAC_OVERRIDE,
        Capability::FSETID,
        Capability::FOWNER,
        Capability::MKNOD,
        Capability::NET_RAW,
        Capability::SETGID,
        Capability::SETUID,
        Capability::SETFCAP,
        Capability::SETPCAP,
        Capability::NET_BIND_SERVICE,
        Capability::SYS_CHROOT,
        Capability::KILL,
        Capability::AUDIT_WRITE,
    ])
}

/// What a container gets that adds and drops these, with Docker's meaning: `ALL` stands for every
/// capability of the kernel, a name in both lists is added, and `privileged` is everything.
///
/// # Errors
/// If a name is unknown, or is not one of this kernel's.
pub fn resolve(
    add: &[String],
    drop: &[String],
    privileged: bool,
) -> Result<CapSet, CapabilityError> {
    let (adds_all, added) = read(add)?;
    let (drops_all, dropped) = read(drop)?;
    if let Some(missing) = added.iter().find(|capability| !CapSet::all().has(*capability)) {
        return Err(CapabilityError::NotInKernel(missing));
    }
    Ok(if privileged {
        CapSet::all()
    } else if adds_all {
        CapSet(CapSet::all().0 & !dropped.0)
    } else if drops_all {
        added
    } else {
        CapSet((default_set().0 & !dropped.0) | added.0)
    })
}

/// Whether `ALL` is among the names, and the others as a set.
fn read(names: &[String]) -> Result<(bool, CapSet), CapabilityError> {
    let is_all = |name: &&String| name.eq_ignore_ascii_case("ALL");
    let others = names.iter().filter(|name| !is_all(name)).map(String::as_str);
    Ok((names.iter().any(|name| is_all(&name)), CapSet::parse(others)?))
}

fn canonical(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
}

/// The nearest name, if one is near enough to be meant.
fn hint(name: &str) -> String {
    // A name from outside may be of any length; the distance is quadratic in it.
    if name.len() > 32 {
        return String::new();
    }
    let nearest = NAMES.iter().map(|known| (distance(known, name), known)).min();
    match nearest {
        Some((errors, known)) if errors <= 3 => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}

/// The number of letters to insert, remove or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
