//! Writing messages.

/// `NLM_F_CREATE`: make the thing if it is not there.
pub(in crate::network) const CREATE: u16 = 0x400;
/// `NLM_F_EXCL`: it is an error if the thing is there.
pub(in crate::network) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_REPLACE`: put the thing in the place of one that is there.
pub(in crate::network) const REPLACE: u16 = 0x100;
/// `NLM_F_APPEND`: after the others, not before.
pub(in crate::network) const APPEND: u16 = 0x800;
/// `NLM_F_ROOT | NLM_F_MATCH`: everything there is.
pub(in crate::network) const DUMP: u16 = 0x300;
/// Not a flag of the kernel's: leaves out the request for an acknowledgement, for the messages of a
/// transaction that is acknowledged as a whole.
pub(in crate::network) const NO_ACKNOWLEDGE: u16 = 0x8000;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const NESTED: u16 = 0x8000;

/// Messages for the kernel, one after the other, sent in one piece.
#[derive(Debug, Default)]
pub(in crate::network) struct Batch {
    bytes: Vec<u8>,
    messages: u32,
    acknowledgements: usize,
}

impl Batch {
    pub(in crate::network) fn new() -> Self {
        Self::default()
    }

    /// Adds a message: `kind`, `flags`, then what `write` writes.
    pub(in crate::network) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        write: impl FnOnce(&mut Message<'_>),
    ) {
        let flags = if flags & NO_ACKNOWLEDGE == 0 {
            self.acknowledgements += 1;
            flags | REQUEST | ACKNOWLEDGE
        } else {
            (flags & !NO_ACKNOWLEDGE) | REQUEST
        };
        let start = self.bytes.len();
        self.messages += 1;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.messages.to_ne_bytes());
        self.bytes.extend([0; 4]);
        write(&mut Message { bytes: &mut self.bytes });
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// The bytes of all messages.
    pub(in crate::network) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages there are; they are numbered from 1.
    pub(in crate::network) fn len(&self) -> u32 {
        self.messages
    }

    /// How many of them ask for an acknowledgement.
    pub(in crate::network) fn acknowledgements(&self) -> usize {
        self.acknowledgements
    }
}

/// The inside of one message, or of one nested attribute.
#[derive(Debug)]
pub(in crate::network) struct Message<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Message<'_> {
    /// A fixed header, before the attributes. Its length is a multiple of four.
    pub(in crate::network) fn header(&mut self, header: &[u8]) {
        debug_assert!(header.len().is_multiple_of(4));
        self.bytes.extend(header);
    }

    /// An attribute with these bytes as its value, padded as the protocol wants.
    pub(in crate::network) fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        debug_assert!(length < u16::MAX, "an attribute holds 64 KiB at most");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A text, with the zero byte that ends it.
    pub(in crate::network) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// A number in the host's order, as links, addresses and routes have it.
    pub(in crate::network) fn ne32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number in the network's order, as netfilter has it.
    pub(in crate::network) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An attribute that holds attributes.
    pub(in crate::network) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Message<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        write(&mut Message { bytes: self.bytes });
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        debug_assert!(length < u16::MAX, "an attribute holds 64 KiB at most");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
    }
}
