//! The form of a record in a file: a head, the bytes, and a tail that shows they are all there.
//!
//! ```text
//! head   0  mark 0xA7
//!        1  kind in the low four bits; 0x40 continued, 0x80 partial
//!        2  length of the bytes, u16
//!        4  check of the rest of the head, u32
//!        8  wall time in nanoseconds since 1970, u64
//! bytes  ≤ 16 KiB
//! tail   0  length of the bytes, u16
//!        2  mark 0x5AA5, u16
//! ```
//! Numbers are little-endian.

/// The most bytes of one record; longer lines are split.
pub(super) const MAX_BYTES: usize = 16 << 10;
/// The length of a head.
pub(super) const HEAD: usize = 16;
/// The length of head and tail.
pub(super) const AROUND: usize = HEAD + TAIL;

const TAIL: usize = 4;
const MARK: u8 = 0xa7;
const TAIL_MARK: u16 = 0x5aa5;
const CONTINUED: u8 = 0x40;
const PARTIAL: u8 = 0x80;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Output.
    Stdout,
    /// Output.
    Stderr,
    /// What follows was printed by another attempt; the bytes are its number, u32.
    Attempt,
    /// Bytes of output are missing here; the bytes are how many, u64.
    Dropped,
}

/// A record without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// What it is.
    pub(super) kind: Kind,
    /// The line goes on in a later record.
    pub(super) partial: bool,
    /// The line began in an earlier record.
    pub(super) continued: bool,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
}

/// What stands at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A whole record: its head and its bytes.
    Whole(Head, &'a [u8]),
    /// The start of a record, or nothing.
    Incomplete,
    /// Something else.
    Garbage,
}

/// Writes a record into `buffer`, which has room for it, and returns its length. `bytes` are at most
/// [`MAX_BYTES`].
pub(super) fn put(buffer: &mut [u8], head: Head, bytes: &[u8]) -> usize {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let end = HEAD + bytes.len();
    buffer[..HEAD].copy_from_slice(&head_bytes(head, length));
    buffer[HEAD..end].copy_from_slice(bytes);
    buffer[end..end + 2].copy_from_slice(&length.to_le_bytes());
    buffer[end + 2..end + TAIL].copy_from_slice(&TAIL_MARK.to_le_bytes());
    end + TAIL
}

/// Reads the record at the start of `buffer`.
pub(super) fn parse(buffer: &[u8]) -> Parsed<'_> {
    let Some(raw) = buffer.first_chunk::<HEAD>() else {
        return match buffer.first() {
            None | Some(&MARK) => Parsed::Incomplete,
            Some(_) => Parsed::Garbage,
        };
    };
    let length = u16::from_le_bytes([raw[2], raw[3]]);
    let Some(head) = read_head(raw) else { return Parsed::Garbage };
    if usize::from(length) > MAX_BYTES || head_bytes(head, length) != *raw {
        return Parsed::Garbage;
    }
    let end = HEAD + usize::from(length);
    let Some(tail) = buffer.get(end..end + TAIL) else { return Parsed::Incomplete };
    if tail[..2] != raw[2..4] || tail[2..] != TAIL_MARK.to_le_bytes() {
        return Parsed::Garbage;
    }
    Parsed::Whole(head, &buffer[HEAD..end])
}

fn read_head(raw: &[u8; HEAD]) -> Option<Head> {
    let kind = match raw[1] & 0x0f {
        1 => Kind::Stdout,
        2 => Kind::Stderr,
        3 => Kind::Attempt,
        4 => Kind::Dropped,
        _ => return None,
    };
    let (_, time) = raw.split_last_chunk::<8>()?;
    Some(Head {
        kind,
        partial: raw[1] & PARTIAL != 0,
        continued: raw[1] & CONTINUED != 0,
        time: u64::from_le_bytes(*time),
    })
}

fn head_bytes(head: Head, length: u16) -> [u8; HEAD] {
    let kind = match head.kind {
        Kind::Stdout => 1,
        Kind::Stderr => 2,
        Kind::Attempt => 3,
        Kind::Dropped => 4,
    };
    let flags = if head.partial { PARTIAL } else { 0 } | if head.continued { CONTINUED } else { 0 };
    let check = check(kind | flags, length, head.time);
    let mut raw = [0; HEAD];
    raw[0] = MARK;
    raw[1] = kind | flags;
    raw[2..4].copy_from_slice(&length.to_le_bytes());
    raw[4..8].copy_from_slice(&check.to_le_bytes());
    raw[8..].copy_from_slice(&head.time.to_le_bytes());
    raw
}

/// Tells a head from other bytes; it does not guard against malice.
fn check(kind: u8, length: u16, time: u64) -> u32 {
    let word = time ^ u64::from(length) << 48 ^ u64::from(kind) << 40;
    let mixed = (word ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xff51_afd7_ed55_8ccd).to_le_bytes();
    u32::from_le_bytes([mixed[4], mixed[5], mixed[6], mixed[7]])
}
