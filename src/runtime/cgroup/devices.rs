//! Which devices a container may use: rules, their normal form, and the two ways to enforce it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{CgroupError, files};

use crate::sys::bpf::{DeviceProgram, Instruction};

/// The most rules that fit a filter: old kernels take 4096 instructions.
const MAX_RULES: usize = 400;

/// The kind of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// What may be done with a device, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Make a node of it. The values are the kernel's (`BPF_DEVCG_ACC_*`).
    pub const MAKE: Self = Self(1);
    /// Read it.
    pub const READ: Self = Self(2);
    /// Write to it.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);
}

/// One rule. Later rules change what earlier ones said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// The kind; `None` is both.
    pub kind: Option<DeviceKind>,
    /// The major number; `None` is any.
    pub major: Option<u32>,
    /// The minor number; `None` is any.
    pub minor: Option<u32>,
    /// What is allowed or denied.
    pub access: Access,
}

impl DeviceRule {
    const fn allow(kind: DeviceKind, major: u32, minor: Option<u32>) -> Self {
        let (major, access) = (Some(major), Access::ALL);
        Self { allow: true, kind: Some(kind), major, minor, access }
    }

    /// Says yes or no to everything, whatever came before.
    pub const fn everything(allow: bool) -> Self {
        Self { allow, kind: None, major: None, minor: None, access: Access::ALL }
    }
}

/// Rules in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRules(pub Vec<DeviceRule>);

/// The devices that every container may use, as in Docker: `null`, `zero`, `full`, `random`,
/// `urandom`, terminals; and nodes of all devices may be made, which alone opens none.
pub const DEFAULT_DEVICES: [DeviceRule; 12] = {
    use DeviceKind::{Block, Char};
    const fn nodes(kind: DeviceKind) -> DeviceRule {
        let (kind, access) = (Some(kind), Access::MAKE);
        DeviceRule { allow: true, kind, major: None, minor: None, access }
    }
    [
        DeviceRule::everything(false),
        nodes(Char),
        nodes(Block),
        DeviceRule::allow(Char, 1, Some(3)),
        DeviceRule::allow(Char, 1, Some(5)),
        DeviceRule::allow(Char, 1, Some(7)),
        DeviceRule::allow(Char, 1, Some(8)),
        DeviceRule::allow(Char, 1, Some(9)),
        DeviceRule::allow(Char, 5, Some(0)),
        DeviceRule::allow(Char, 5, Some(1)),
        DeviceRule::allow(Char, 5, Some(2)),
        DeviceRule::allow(Char, 136, None),
    ]
};

impl Default for DeviceRules {
    fn default() -> Self {
        Self(DEFAULT_DEVICES.to_vec())
    }
}

/// What a rule is about: a kind, and numbers or any.
type Target = (DeviceKind, Option<u32>, Option<u32>);

/// Rules without order: an answer, and the exceptions from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Normalised {
    allow: bool,
    exceptions: BTreeMap<Target, u8>,
}

impl DeviceRules {
    /// Every device, for a privileged container.
    pub fn all() -> Self {
        Self(vec![DeviceRule::everything(true)])
    }

    /// The order taken out, as the v1 devices cgroup does it: a rule for everything starts anew, a
    /// rule against the answer adds to the exceptions, one with it takes from them.
    pub(super) fn normalised(&self) -> Normalised {
        let mut normal = Normalised { allow: true, exceptions: BTreeMap::new() };
        for rule in &self.0 {
            if *rule == DeviceRule::everything(rule.allow) {
                normal = Normalised { allow: rule.allow, exceptions: BTreeMap::new() };
                continue;
            }
            for kind in [DeviceKind::Block, DeviceKind::Char] {
                if rule.kind.is_some_and(|only| only != kind) {
                    continue;
                }
                let target = (kind, rule.major, rule.minor);
                let access = normal.exceptions.entry(target).or_default();
                if rule.allow == normal.allow {
                    *access &= !rule.access.0;
                } else {
                    *access |= rule.access.0;
                }
            }
        }
        normal.exceptions.retain(|_, access| *access != 0);
        normal
    }
}

impl Normalised {
    /// Whether there is nothing to enforce.
    pub(super) fn allows_everything(&self) -> bool {
        self.allow && self.exceptions.is_empty()
    }

    /// The filter of v2. The kernel calls it with what a process wants of a device
    /// (`struct bpf_cgroup_dev_ctx`: access and kind, major, minor); it answers 1 or 0.
    pub(super) fn program(&self) -> Result<DeviceProgram, CgroupError> {
        if self.exceptions.len() > MAX_RULES {
            let text = format!("more than {MAX_RULES} rules for devices do not fit a filter");
            return Err(CgroupError::Invalid(text));
        }
        // r2 the kind, r3 the access, r4 and r5 the numbers.
        let mut program = vec![
            Instruction::load(2, 0),
            Instruction::copy(3, 2),
            Instruction::shift_right(3, 16),
            Instruction::and(2, 0xffff),
            Instruction::load(4, 4),
            Instruction::load(5, 8),
        ];
        for ((kind, major, minor), access) in &self.exceptions {
            program.extend(self.exception(*kind, *major, *minor, *access));
        }
        program.extend([Instruction::set(0, u32::from(self.allow)), Instruction::exit()]);
        Ok(DeviceProgram(program))
    }

    fn exception(
        &self,
        kind: DeviceKind,
        major: Option<u32>,
        minor: Option<u32>,
        access: u8,
    ) -> Vec<Instruction> {
        let number = match kind {
            DeviceKind::Block => 1,
            DeviceKind::Char => 2,
        };
        let access = u32::from(access);
        // An exception that allows applies if nothing else is wanted, one that denies if any of it is.
        let (mask, applies) = if self.allow { (access, false) } else { (!access & 7, true) };
        let mut code = vec![
            Instruction::skip_unless_equal(2, number),
            Instruction::copy(0, 3),
            Instruction::and(0, mask),
            if applies {
                Instruction::skip_unless_equal(0, 0)
            } else {
                Instruction::skip_if_equal(0, 0)
            },
        ];
        code.extend(major.map(|major| Instruction::skip_unless_equal(4, major)));
        code.extend(minor.map(|minor| Instruction::skip_unless_equal(5, minor)));
        code.extend([Instruction::set(0, u32::from(!self.allow)), Instruction::exit()]);
        // A test that fails skips the rest of this exception.
        (0_i16..).zip(code.iter_mut().rev()).for_each(|(left, test)| test.skip(left));
        code
    }
}

/// Writes the rules of v1.
pub(super) fn write_v1(dir: &Path, rules: &Normalised) -> Result<(), CgroupError> {
    let (all, exceptions) = if rules.allow {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    // An open cgroup needs no opening; below a restricted one the kernel would refuse it.
    let open = rules.allow && files::read(&dir.join("devices.list"))?.trim() == "a *:* rwm";
    if !open {
        files::write(dir, all, "a")?;
    }
    for ((kind, major, minor), access) in &rules.exceptions {
        let rule = Line(*kind, *major, *minor, Access(*access)).to_string();
        files::write(dir, exceptions, &rule)?;
    }
    Ok(())
}

/// A rule as the v1 files have it: `c 1:3 rwm`.
struct Line(DeviceKind, Option<u32>, Option<u32>, Access);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |one| one.to_string());
        let kind = if self.0 == DeviceKind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{} {}", number(self.1), number(self.2), self.3)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::MAKE, 'm')];
        letters
            .iter()
            .filter(|(bit, _)| self.0 & bit.0 != 0)
            .try_for_each(|(_, l)| write!(f, "{l}"))
    }
}

impl FromStr for Access {
    type Err = CgroupError;

    /// Reads letters of `rwm`.
    fn from_str(text: &str) -> Result<Self, CgroupError> {
        let bits = text.chars().try_fold(0, |bits, letter| match letter {
            'r' => Some(bits | Self::READ.0),
            'w' => Some(bits | Self::WRITE.0),
            'm' => Some(bits | Self::MAKE.0),
            _ => None,
        });
        match bits {
            Some(bits @ 1..) => Ok(Self(bits)),
            _ => Err(CgroupError::Invalid(format!(
                "{text:?} is no access to a device: it is of the letters r, w and m"
            ))),
        }
    }
}

impl FromStr for DeviceRule {
    type Err = CgroupError;

    /// Reads a rule that allows, as `device_cgroup_rules` has it: `c 1:3 rwm`, `b *:* r`, `a *:* rwm`.
    fn from_str(text: &str) -> Result<Self, CgroupError> {
        let invalid = || {
            CgroupError::Invalid(format!("{text:?} is no rule for devices; one is \"c 1:3 rwm\""))
        };
        let words: Vec<_> = text.split_whitespace().collect();
        let [kind, numbers, access] = words.as_slice() else { return Err(invalid()) };
        let kind = match *kind {
            "a" => None,
            "b" => Some(DeviceKind::Block),
            "c" => Some(DeviceKind::Char),
            _ => return Err(invalid()),
        };
        let number = |text: &str| match text {
            "*" => Ok(None),
            _ => text.parse().map(Some).map_err(|_| invalid()),
        };
        let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
        let (major, minor) = (number(major)?, number(minor)?);
        Ok(Self { allow: true, kind, major, minor, access: access.parse()? })
    }
}

#[cfg(test)]
mod tests;
