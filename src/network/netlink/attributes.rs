//! Reading attributes. What the kernel sends is cut by its own lengths, and whatever does not fit is
//! left out: a wrong length is never a panic.

const KIND: u16 = 0x3fff;

/// The attributes in `bytes`, as kind and value.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Attributes<'a>(pub(in crate::network) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this kind.
    pub(in crate::network) fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first attribute of this kind; none if it is not there.
    pub(in crate::network) fn nested(self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }

    /// The text in the first attribute of this kind.
    pub(in crate::network) fn text(self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(text)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length)).checked_sub(4)?;
        let value = rest.get(..length)?;
        self.0 = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind) & KIND, value))
    }
}

/// A number in the host's order.
pub(in crate::network) fn ne32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// A number in the network's order.
pub(in crate::network) fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A text up to the zero byte that ends it.
pub(in crate::network) fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()
}
