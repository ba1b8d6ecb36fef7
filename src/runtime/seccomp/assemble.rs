//! Classic BPF, written from its end: a jump goes only forward and says how far, so what it jumps to
//! must be there first.

use super::SeccompError;

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
const MAX: usize = 4096;

/// `BPF_LD|BPF_W|BPF_ABS`, `BPF_ALU|BPF_AND|BPF_K`, `BPF_RET|BPF_K`, `BPF_JMP|BPF_JA`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;

/// A jump that depends on the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// `BPF_JMP|BPF_JEQ|BPF_K`.
    Equal = 0x15,
    /// `BPF_JMP|BPF_JGT|BPF_K`.
    Greater = 0x25,
    /// `BPF_JMP|BPF_JGE|BPF_K`.
    GreaterOrEqual = 0x35,
}

/// A place in the program, counted from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// One `struct sock_filter`.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// A program, the last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler(Vec<Instruction>);

impl Assembler {
    /// Loads 32 bits of `struct seccomp_data`, then goes on with what was written last.
    pub(super) fn load(&mut self, offset: u32) -> Label {
        self.push(LOAD, 0, 0, offset)
    }

    /// Keeps the bits of a mask, then goes on with what was written last.
    pub(super) fn and(&mut self, mask: u32) -> Label {
        self.push(AND, 0, 0, mask)
    }

    /// Ends with an answer.
    pub(super) fn answer(&mut self, code: u32) -> Label {
        self.push(RETURN, 0, 0, code)
    }

    /// Goes one way or the other.
    pub(super) fn test(&mut self, test: Test, value: u32, yes: Label, no: Label) -> Label {
        // Both must be near at the same time: making one near moves the other away.
        let (mut near_yes, mut near_no) = (self.near(yes, 1), self.near(no, 0));
        loop {
            match (self.reach(near_yes), self.reach(near_no)) {
                (Some(if_true), Some(if_false)) => {
                    return self.push(test as u16, if_true, if_false, value);
                }
                (None, _) => near_yes = self.near(yes, 0),
                (_, None) => near_no = self.near(no, 0),
            }
        }
    }

    /// Goes to `label`, if that is not what follows anyway.
    pub(super) fn go(&mut self, label: Label) -> Label {
        match self.distance(label) {
            0 => label,
            distance => self.push(JUMP, 0, 0, distance),
        }
    }

    /// The program's bytes.
    pub(super) fn finish(self) -> Result<Vec<u8>, SeccompError> {
        if self.0.len() > MAX {
            return Err(SeccompError::TooLong(self.0.len()));
        }
        let bytes = self.0.iter().rev().flat_map(|one| {
            let [code0, code1] = one.code.to_ne_bytes();
            let [k0, k1, k2, k3] = one.value.to_ne_bytes();
            [code0, code1, one.if_true, one.if_false, k0, k1, k2, k3]
        });
        Ok(bytes.collect())
    }

    /// A label that leads to `label` and is in reach of a test, also after `more` instructions.
    fn near(&mut self, label: Label, more: u32) -> Label {
        if self.distance(label) + more > u32::from(u8::MAX) {
            let distance = self.distance(label);
            return self.push(JUMP, 0, 0, distance);
        }
        label
    }

    fn reach(&self, label: Label) -> Option<u8> {
        u8::try_from(self.distance(label)).ok()
    }

    /// How many instructions the next one skips to get to `label`.
    fn distance(&self, label: Label) -> u32 {
        u32::try_from(self.0.len() - 1 - label.0).unwrap_or(u32::MAX)
    }

    fn push(&mut self, code: u16, if_true: u8, if_false: u8, value: u32) -> Label {
        self.0.push(Instruction { code, if_true, if_false, value });
        Label(self.0.len() - 1)
    }
}
