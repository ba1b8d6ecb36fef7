//! One command as bytes in the log: length, check sum, number, JSON.

use sha2::{Digest as _, Sha256};

/// Length (4), check sum (8) and number (8), all little-endian.
const HEAD: usize = 20;

/// The largest command. A stack with its configs and secrets has to fit.
pub(super) const MOST: usize = 64 << 20;

/// What is at a place of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// The end.
    End,
    /// A whole record: its number, its payload, and how many bytes it takes.
    Record(u64, &'a [u8], usize),
    /// Anything else.
    Bad,
}

/// The bytes of a record.
pub(super) fn encode(seq: u64, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MOST)?;
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend(length.to_le_bytes());
    bytes.extend(sum(seq, payload));
    bytes.extend(seq.to_le_bytes());
    bytes.extend(payload);
    Some(bytes)
}

/// Reads the record at the start of `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() {
        return Found::End;
    }
    whole(bytes)
        .map_or(Found::Bad, |(seq, payload)| Found::Record(seq, payload, HEAD + payload.len()))
}

fn whole(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<8>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let payload = rest.get(..length).filter(|_| length <= MOST)?;
    let seq = u64::from_le_bytes(*seq);
    (sum(seq, payload) == *expected).then_some((seq, payload))
}

/// Whether a whole record with a number after `seq` begins somewhere in `bytes`. If so, what is before
/// it was acknowledged once, and is not the torn end of a log.
pub(super) fn follows(bytes: &[u8], seq: u64) -> bool {
    (1..bytes.len()).filter_map(|at| bytes.get(at..)).any(|rest| {
        // Hashing is dear: look at the number first.
        let number = rest.get(12..HEAD).and_then(|bytes| bytes.try_into().ok());
        let plausible =
            number.map(u64::from_le_bytes).is_some_and(|n| n > seq && n - seq < 1 << 32);
        plausible && whole(rest).is_some()
    })
}

fn sum(seq: u64, payload: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(seq.to_le_bytes());
    hash.update(payload);
    let mut sum = [0; 8];
    sum.copy_from_slice(&hash.finalize()[..8]);
    sum
}
