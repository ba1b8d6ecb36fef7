//! From a profile to a program.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble::{Assembler, Label, Test};
use super::{Action, Arch, Argument, Comparison, Profile, SeccompError, numbers};

/// Offsets in `struct seccomp_data`: the number of the call, the architecture, the arguments.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// The bit that makes a call of x86-64 one of x32.
const X32: u32 = 0x4000_0000;

/// What happens to one call: conditions in order, then the rest.
#[derive(Debug, Clone, PartialEq)]
struct Handling {
    conditions: Vec<(Vec<Argument>, Action)>,
    otherwise: Action,
}

/// Makes the program.
pub(super) fn program(profile: &Profile) -> Result<Vec<u8>, SeccompError> {
    let mut code = Assembler::default();
    let mut audits: BTreeMap<u32, BTreeMap<u32, Handling>> = BTreeMap::new();
    let architectures: BTreeSet<Arch> = profile.architectures.iter().copied().collect();
    for arch in &architectures {
        audits.entry(arch.audit()).or_default().extend(handlings(profile, *arch));
    }
    if audits.is_empty() {
        return Err(SeccompError::Invalid("it is for no architecture".to_owned()));
    }
    let mut next = code.answer(Action::KillProcess.code());
    let mut sections = Vec::new();
    for (audit, calls) in &audits {
        let knows_x32 = *audit != Arch::X32.audit() || architectures.contains(&Arch::X32);
        let knows_64 = *audit != Arch::X86_64.audit() || architectures.contains(&Arch::X86_64);
        let pieces = pieces(calls, profile.default, knows_64, knows_x32);
        search(&mut code, &pieces);
        sections.push((*audit, code.load(NUMBER)));
    }
    // The native one is tested first.
    sections.sort_by_key(|(audit, _)| *audit == Arch::NATIVE.audit());
    for (audit, section) in sections {
        next = code.test(Test::Equal, audit, section, next);
    }
    code.go(next);
    code.load(ARCHITECTURE);
    code.finish()
}

/// What happens to each call that has a rule.
fn handlings(profile: &Profile, arch: Arch) -> BTreeMap<u32, Handling> {
    let mut conditions: BTreeMap<u32, Vec<(Vec<Argument>, Action)>> = BTreeMap::new();
    let mut otherwise: BTreeMap<u32, Action> = BTreeMap::new();
    for rule in &profile.rules {
        for number in rule.names.iter().filter_map(|name| numbers::number(arch, name)) {
            if rule.arguments.is_empty() {
                otherwise.entry(number).or_insert(rule.action);
            } else {
                let condition = (rule.arguments.clone(), rule.action);
                conditions.entry(number).or_default().push(condition);
            }
        }
    }
    let all: BTreeSet<u32> = conditions.keys().chain(otherwise.keys()).copied().collect();
    let handling = |number| {
        let conditions = conditions.remove(&number).unwrap_or_default();
        let otherwise = otherwise.get(&number).copied().unwrap_or(profile.default);
        (number, Handling { conditions, otherwise })
    };
    all.into_iter().map(handling).collect()
}

/// All numbers, as pieces that are handled alike: where each begins, and how it is handled.
fn pieces(
    calls: &BTreeMap<u32, Handling>,
    default: Action,
    knows_64: bool,
    knows_x32: bool,
) -> Vec<(u32, Handling)> {
    let always = |action| Handling { conditions: Vec::new(), otherwise: action };
    let unruled = |number: u32| match number {
        // Not a call: a tracer took it away.
        u32::MAX => default,
        X32.. if !knows_x32 => Action::KillProcess,
        ..X32 if !knows_64 => Action::KillProcess,
        _ => default,
    };
    let mut starts: BTreeSet<u32> = [0, X32, u32::MAX].into();
    starts.extend(calls.keys().flat_map(|number| [*number, number.saturating_add(1)]));
    let mut pieces: Vec<(u32, Handling)> = Vec::new();
    for start in starts {
        let handling = calls.get(&start).cloned().unwrap_or_else(|| always(unruled(start)));
        if pieces.last().is_none_or(|(_, last)| *last != handling) {
            pieces.push((start, handling));
        }
    }
    pieces
}

/// Finds the piece of the number in the accumulator.
fn search(code: &mut Assembler, pieces: &[(u32, Handling)]) -> Label {
    match pieces {
        [] => code.answer(Action::KillProcess.code()),
        [(_, handling)] => handle(code, handling),
        _ => {
            let (low, high) = pieces.split_at(pieces.len() / 2);
            let yes = search(code, high);
            let no = search(code, low);
            code.test(Test::GreaterOrEqual, high[0].0, yes, no)
        }
    }
}

fn handle(code: &mut Assembler, handling: &Handling) -> Label {
    let mut next = code.answer(handling.otherwise.code());
    for (arguments, action) in handling.conditions.iter().rev() {
        let no = next;
        next = code.answer(action.code());
        for argument in arguments.iter().rev() {
            next = compare(code, *argument, next, no);
        }
    }
    next
}

/// Compares 64 bits, with 32 at a time.
fn compare(code: &mut Assembler, argument: Argument, yes: Label, no: Label) -> Label {
    let value = argument.value;
    match argument.comparison {
        Comparison::Equal => equal(code, argument.index, u64::MAX, value, yes, no),
        Comparison::NotEqual => equal(code, argument.index, u64::MAX, value, no, yes),
        Comparison::MaskedEqual(mask) => equal(code, argument.index, mask, value & mask, yes, no),
        Comparison::Greater => above(code, argument, Test::Greater, yes, no),
        Comparison::LessOrEqual => above(code, argument, Test::Greater, no, yes),
        Comparison::GreaterOrEqual => above(code, argument, Test::GreaterOrEqual, yes, no),
        Comparison::Less => above(code, argument, Test::GreaterOrEqual, no, yes),
    }
}

fn equal(code: &mut Assembler, index: u8, mask: u64, value: u64, yes: Label, no: Label) -> Label {
    let (high_offset, low_offset) = offsets(index);
    let mut half = |offset, mask: u32, value, yes| {
        code.test(Test::Equal, value, yes, no);
        if mask != u32::MAX {
            code.and(mask);
        }
        code.load(offset)
    };
    let then = half(low_offset, low(mask), low(value), yes);
    half(high_offset, high(mask), high(value), then)
}

/// `test` is for the low half when the high halves are equal.
fn above(code: &mut Assembler, argument: Argument, test: Test, yes: Label, no: Label) -> Label {
    let (high_offset, low_offset) = offsets(argument.index);
    code.test(test, low(argument.value), yes, no);
    let same = code.load(low_offset);
    let not_above = code.test(Test::Equal, high(argument.value), same, no);
    code.test(Test::Greater, high(argument.value), yes, not_above);
    code.load(high_offset)
}

/// Where the halves of an argument are: all architectures here are little-endian.
fn offsets(index: u8) -> (u32, u32) {
    let low = ARGUMENTS + 8 * u32::from(index);
    (low + 4, low)
}

const fn low(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

const fn high(value: u64) -> u32 {
    low(value >> 32)
}
