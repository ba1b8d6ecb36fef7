//! The whole state as one file.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::model::Agreed;

use super::error::io;
use super::{StoreError, disk};

/// The first bytes of each file of the store; the format's number follows.
const MAGIC: &[u8; 8] = b"orca\0sta";
/// Magic (8), format (4), number (8), SHA-256 (32).
const HEAD: usize = 52;
/// What this version writes.
pub(super) const FORMAT: u32 = 1;

/// Writes the state after command `seq`.
pub(super) fn write(path: &Path, seq: u64, agreed: &Agreed) -> Result<(), StoreError> {
    let payload = serde_json::to_vec(agreed).map_err(|e| io("write", path)(e.into()))?;
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend(sum(seq, &payload));
    bytes.extend(payload);
    disk::write_whole(path, &bytes)
}

/// Reads the state after command `seq`.
pub(super) fn read(path: &Path, seq: u64) -> Result<Agreed, StoreError> {
    let bytes = disk::read(path)?;
    let damaged = |offset: u64, what: &str| StoreError::Damaged {
        path: path.to_owned(),
        offset,
        what: what.to_owned(),
    };
    let (head, payload) =
        bytes.split_at_checked(HEAD).ok_or_else(|| damaged(0, "it is too short"))?;
    if !head.starts_with(MAGIC) {
        return Err(damaged(0, "it is not a state of orca"));
    }
    let found = head[8..12].try_into().map(u32::from_le_bytes).unwrap_or_default();
    if found != FORMAT {
        return Err(StoreError::Format { path: path.to_owned(), found, known: FORMAT });
    }
    if head[12..20] != seq.to_le_bytes() {
        return Err(damaged(12, "its number is not that of its name"));
    }
    if head[20..HEAD] != sum(seq, payload) {
        return Err(damaged(20, "its check sum is wrong"));
    }
    serde_json::from_slice(payload).map_err(|error| damaged(52, &error.to_string()))
}

fn sum(seq: u64, payload: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seq.to_le_bytes());
    hash.update(payload);
    hash.finalize().into()
}
