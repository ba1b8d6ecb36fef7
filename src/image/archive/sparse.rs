//! Files with holes: GNU's own header type, and the PAX form 1.0.

use std::io::{self, Read};

use tar::Header;

/// A stretch of stored bytes of a file with holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where in the file.
    pub(crate) offset: u64,
    /// How many bytes.
    pub(crate) length: u64,
}

/// The most stretches of one file.
const MOST: usize = 1 << 20;

/// The map of a GNU sparse header; blocks with more of it follow the header.
pub(super) fn gnu(header: &Header, input: &mut impl Read) -> io::Result<Vec<Segment>> {
    let gnu = header.as_gnu().ok_or_else(|| bad("a sparse file without a GNU header"))?;
    let mut segments = Vec::new();
    for sparse in &gnu.sparse {
        push(&mut segments, sparse)?;
    }
    let mut more = gnu.is_extended();
    while more {
        let mut block = tar::GnuExtSparseHeader::new();
        input.read_exact(block.as_mut_bytes())?;
        for sparse in &block.sparse {
            push(&mut segments, sparse)?;
        }
        more = block.is_extended();
    }
    Ok(segments)
}

fn push(segments: &mut Vec<Segment>, sparse: &tar::GnuSparseHeader) -> io::Result<()> {
    if sparse.is_empty() {
        return Ok(());
    }
    if segments.len() == MOST {
        return Err(bad("a sparse file has too many pieces"));
    }
    segments.push(Segment { offset: sparse.offset()?, length: sparse.length()? });
    Ok(())
}

/// The map of a PAX 1.0 sparse file: decimal lines at the beginning of its data, padded to a block.
/// Gives the map and how many bytes of the data it took.
pub(super) fn pax(input: &mut impl Read) -> io::Result<(Vec<Segment>, u64)> {
    let mut lines = Lines { input, block: [0; 512], at: 512, taken: 0 };
    let count = usize::try_from(lines.number()?).unwrap_or(usize::MAX);
    if count > MOST {
        return Err(bad("a sparse file has too many pieces"));
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push(Segment { offset: lines.number()?, length: lines.number()? });
    }
    Ok((segments, lines.taken))
}

struct Lines<'a, R> {
    input: &'a mut R,
    block: [u8; 512],
    at: usize,
    taken: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> io::Result<u64> {
        let mut number: u64 = 0;
        let mut digits = 0;
        loop {
            let byte = self.byte()?;
            match byte {
                b'\n' if digits > 0 => return Ok(number),
                b'0'..=b'9' if digits < 19 => number = number * 10 + u64::from(byte - b'0'),
                _ => return Err(bad("the map of a sparse file is malformed")),
            }
            digits += 1;
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.at == self.block.len() {
            self.input.read_exact(&mut self.block)?;
            self.taken += 512;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }
}

/// Whether the pieces are in order, inside the file, and as long together as what is stored.
pub(super) fn check(segments: &[Segment], stored: u64, size: u64) -> io::Result<()> {
    let (mut end, mut sum): (u64, u64) = (0, 0);
    for segment in segments {
        let next = segment.offset.checked_add(segment.length);
        match next {
            Some(next) if segment.offset >= end && next <= size => end = next,
            _ => return Err(bad("the pieces of a sparse file overlap or lie outside of it")),
        }
        sum += segment.length;
    }
    if sum == stored { Ok(()) } else { Err(bad("the pieces of a sparse file do not fit its data")) }
}

fn bad(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
