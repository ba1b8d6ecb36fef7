//! Device filters of cgroup v2: programs of a few instructions, by `bpf(2)` itself.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// `BPF_PROG_LOAD` and `BPF_PROG_ATTACH`.
const LOAD: libc::c_int = 5;
const ATTACH: libc::c_int = 8;
/// `BPF_PROG_TYPE_CGROUP_DEVICE`.
const CGROUP_DEVICE_PROGRAM: u32 = 15;
/// `BPF_CGROUP_DEVICE`.
const CGROUP_DEVICE: u32 = 6;
/// `BPF_F_ALLOW_MULTI`: beside programs that others attach, each of which must agree.
const ALLOW_MULTI: u32 = 2;

/// One instruction (`struct bpf_insn`, RFC 9669).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// Destination in the low four bits, source in the high ones.
    registers: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, registers: u8, offset: i16, immediate: u32) -> Self {
        Self { code, registers, offset, immediate: immediate.cast_signed() }
    }

    /// Loads 32 bits at `offset` of the context, which is in register 1.
    pub const fn load(to: u8, offset: i16) -> Self {
        Self::new(0x61, to | 1 << 4, offset, 0)
    }

    /// Copies the low 32 bits of a register.
    pub const fn copy(to: u8, from: u8) -> Self {
        Self::new(0xbc, to | from << 4, 0, 0)
    }

    /// Sets a register to 32 bits.
    pub const fn set(to: u8, value: u32) -> Self {
        Self::new(0xb4, to, 0, value)
    }

    /// Keeps the bits of `mask`.
    pub const fn and(register: u8, mask: u32) -> Self {
        Self::new(0x54, register, 0, mask)
    }

    /// Shifts 32 bits.
    pub const fn shift_right(register: u8, bits: u32) -> Self {
        Self::new(0x74, register, 0, bits)
    }

    /// Skips instructions unless 32 bits of the register are `value`; [`Self::skip`] says how many.
    pub const fn skip_unless_equal(register: u8, value: u32) -> Self {
        Self::new(0x56, register, 0, value)
    }

    /// Skips instructions if 32 bits of the register are `value`; [`Self::skip`] says how many.
    pub const fn skip_if_equal(register: u8, value: u32) -> Self {
        Self::new(0x16, register, 0, value)
    }

    /// Sets how many instructions are skipped, if this is one that skips.
    pub const fn skip(&mut self, count: i16) {
        if matches!(self.code, 0x16 | 0x56) {
            self.offset = count;
        }
    }

    /// Ends; register 0 is the answer.
    pub const fn exit() -> Self {
        Self::new(0x95, 0, 0, 0)
    }
}

/// A program that says of each use of a device whether it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProgram(pub Vec<Instruction>);

/// The head of `union bpf_attr` for a load; the kernel takes the rest as zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for an attachment.
#[repr(C)]
struct AttachAttributes {
    target: RawFd,
    program: RawFd,
    attach_type: u32,
    flags: u32,
}

/// Hands a program to the kernel, which checks it.
///
/// # Errors
/// `EPERM` without the right, `EINVAL` if the kernel has no such programs or refuses this one.
pub fn load_device_program(program: &DeviceProgram) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attributes = LoadAttributes {
        program_type: CGROUP_DEVICE_PROGRAM,
        instruction_count: u32::try_from(program.0.len()).map_err(io::Error::other)?,
        instructions: program.0.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let descriptor = bpf(LOAD, &mut attributes)?;
    // SAFETY: a successful load returns a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Puts a program in force for a v2 cgroup, given by its directory, and all below it. It stays for as
/// long as the cgroup, whether the program's descriptor is open or not.
///
/// # Errors
/// `EBADF` if the directory is no v2 cgroup, `EPERM` without the right.
pub fn attach_device_program(program: &impl AsFd, cgroup: &impl AsFd) -> io::Result<()> {
    let mut attributes = AttachAttributes {
        target: cgroup.as_fd().as_raw_fd(),
        program: program.as_fd().as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    bpf(ATTACH, &mut attributes).map(drop)
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<RawFd> {
    // SAFETY: the attributes are a `repr(C)` head of `union bpf_attr` of the size that is passed, and
    // what they point to outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}
