//! Values as bytes and back: what the daemon, the launcher and the shims say to each other.
//!
//! Numbers are little-endian, lists and texts have their length in front. Reading checks every length
//! against what is there, so a bad message is an error and not a panic or a huge allocation.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Bytes that are not the value they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// The end comes too early.
    #[error("the message is cut short")]
    Short,
    /// There is more than there should be.
    #[error("the message is too long")]
    Long,
    /// A value that is none.
    #[error("the message holds an impossible value")]
    Invalid,
}

/// A value that can be written as bytes and read back.
pub(super) trait Wire: Sized {
    /// Appends it to `out`.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes it from the front of `from`.
    fn take(from: &mut &[u8]) -> Result<Self, WireError>;
}

/// `value` as bytes.
pub(super) fn encode(value: &impl Wire) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// The value that `bytes` are, all of them.
pub(super) fn decode<T: Wire>(mut bytes: &[u8]) -> Result<T, WireError> {
    let value = T::take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(WireError::Long) }
}

/// A structure is its fields, in order.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::runtime::wire::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::runtime::wire::Wire::put(&self.$field, out);)*
            }
            fn take(from: &mut &[u8]) -> Result<Self, $crate::runtime::wire::WireError> {
                $(let $field = $crate::runtime::wire::Wire::take(from)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}
pub(super) use wire_struct;

fn take_bytes<'a>(from: &mut &'a [u8], length: usize) -> Result<&'a [u8], WireError> {
    let (taken, rest) = from.split_at_checked(length).ok_or(WireError::Short)?;
    *from = rest;
    Ok(taken)
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    // Longer values are refused before they get here: see `plan::MAX_BYTES`.
    u32::try_from(length).unwrap_or(u32::MAX).put(out);
}

fn take_length(from: &mut &[u8]) -> Result<usize, WireError> {
    usize::try_from(u32::take(from)?).map_err(|_| WireError::Invalid)
}

macro_rules! wire_number {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut &[u8]) -> Result<Self, WireError> {
                let bytes = take_bytes(from, size_of::<Self>())?;
                Ok(Self::from_le_bytes(bytes.try_into().map_err(|_| WireError::Short)?))
            }
        }
    )*};
}
wire_number!(u8, u16, u32, u64, i32);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Invalid),
        }
    }
}

/// Bytes in one piece; as `Vec<T>` covers `u8` element by element, this is only quicker to call.
fn put_slice(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn take_slice<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = take_length(from)?;
    take_bytes(from, length)
}

/// Content that is bytes and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Blob(pub Vec<u8>);

impl Wire for Blob {
    fn put(&self, out: &mut Vec<u8>) {
        put_slice(&self.0, out);
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Self(take_slice(from)?.to_vec()))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_slice(self.as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Self::from_utf8(take_slice(from)?.to_vec()).map_err(|_| WireError::Invalid)
    }
}

impl Wire for CString {
    fn put(&self, out: &mut Vec<u8>) {
        put_slice(self.as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Self::new(take_slice(from)?).map_err(|_| WireError::Invalid)
    }
}

impl Wire for PathBuf {
    fn put(&self, out: &mut Vec<u8>) {
        put_slice(self.as_os_str().as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Ok(Self::from(OsStr::from_bytes(take_slice(from)?)))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        // Not reserved: the length is only what somebody claims.
        (0..take_length(from)?).map(|_| T::take(from)).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        let value = vec![(Some("a".to_owned()), 7_u32), (None, 0)];
        assert_eq!(decode::<Vec<(Option<String>, u32)>>(&encode(&value)), Ok(value));
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error() {
        let bytes = encode(&vec![(c"path".to_owned(), 1_u64)]);
        for length in 0..bytes.len() {
            assert_eq!(
                decode::<Vec<(CString, u64)>>(&bytes[..length]),
                Err(WireError::Short),
                "{length}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        assert_eq!(decode::<bool>(&[2]), Err(WireError::Invalid));
        assert_eq!(decode::<u8>(&[2, 3]), Err(WireError::Long));
        assert_eq!(decode::<CString>(&[2, 0, 0, 0, b'a', 0]), Err(WireError::Invalid));
        assert_eq!(decode::<String>(&[1, 0, 0, 0, 0xff]), Err(WireError::Invalid));
        assert_eq!(decode::<Vec<u64>>(&[255, 255, 255, 255]), Err(WireError::Short));
    }
}
