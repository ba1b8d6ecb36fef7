//! Compression, told by its first bytes, not by what a name or a media type claims.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError::SkipFrame;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::limits::Limits;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// One that is known but not read.
    Other(&'static str),
}

impl Packing {
    /// What `start`, the first bytes of a stream, says.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame, as zstd:chunked and others put first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Other("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Other("xz"),
            _ => Self::Plain,
        }
    }
}

/// `input`, unpacked, under the limits on how much may come out.
///
/// # Errors
/// If it cannot be read, or is packed in a way that is not supported.
pub(crate) fn unpacked<'a>(
    input: impl Read + Send + 'a,
    limits: Limits,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    told(input, limits).map(|(_, unpacked)| unpacked)
}

/// The same, and how it is packed.
pub(crate) fn told<'a>(
    input: impl Read + Send + 'a,
    limits: Limits,
) -> io::Result<(Packing, Box<dyn Read + Send + 'a>)> {
    let mut input = Counted { input: BufReader::with_capacity(128 << 10, input), count: 0 };
    let packing = Packing::of(input.input.fill_buf()?);
    let unpacked: Box<dyn Read + Send + 'a> = match packing {
        Packing::Plain => Box::new(input),
        Packing::Gzip => Box::new(Ratio::new(MultiGzDecoder::new(input), limits)),
        Packing::Zstd => Box::new(Ratio::new(Zstd::new(input), limits)),
        Packing::Other(name) => {
            let reason = format!("{name} compression is not supported; use gzip, zstd or none");
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    };
    Ok((packing, unpacked))
}

/// A reader that knows how much was taken from it.
struct Counted<R> {
    input: BufReader<R>,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.count += got as u64;
        Ok(got)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.input.consume(amount);
    }
}

/// A decoder that knows how much it has taken.
trait Taken {
    fn taken(&self) -> u64;
}

impl<R: Read> Taken for MultiGzDecoder<Counted<R>> {
    fn taken(&self) -> u64 {
        self.get_ref().count
    }
}

impl<R: Read> Taken for Zstd<R> {
    fn taken(&self) -> u64 {
        self.input.count
    }
}

/// Ends a stream from which too much comes for what goes in.
struct Ratio<D> {
    decoder: D,
    out: u64,
    limits: Limits,
}

impl<D> Ratio<D> {
    fn new(decoder: D, limits: Limits) -> Self {
        Self { decoder, out: 0, limits }
    }
}

impl<D: Read + Taken> Read for Ratio<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.decoder.read(buffer)?;
        self.out += got as u64;
        let allowed = self.decoder.taken().saturating_mul(self.limits.ratio);
        if self.out > self.limits.ratio_from && self.out > allowed {
            let reason = format!("more than {} bytes come out for each byte in", self.limits.ratio);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(got)
    }
}

/// All frames of a zstd stream: zstd:chunked and parallel writers make many.
struct Zstd<R: Read> {
    decoder: FrameDecoder,
    input: Counted<R>,
    in_frame: bool,
}

/// The largest window a layer may ask for; what `zstd --ultra --long` of 27 bits writes.
const WINDOW: u64 = 128 << 20;

impl<R: Read> Zstd<R> {
    fn new(input: Counted<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { decoder, input, in_frame: false }
    }

    /// Begins the next frame with data; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(SkipFrame { length, .. })) => {
                    let skip = u64::from(length);
                    io::copy(&mut Read::by_ref(&mut self.input).take(skip), &mut io::sink())?;
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            self.in_frame = true;
            while self.decoder.can_collect() < buffer.len() && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, one).map_err(invalid)?;
            }
            let got = self.decoder.read(buffer)?;
            if got > 0 {
                return Ok(got);
            }
            self.in_frame = false;
        }
    }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Packing, unpacked};
    use crate::image::limits::Limits;
    use crate::image::testing::{gzip, zstd};

    fn read(bytes: &[u8], limits: Limits) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut input = unpacked(bytes, limits).map_err(|error| error.to_string())?;
        input.read_to_end(&mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn every_packing_is_told_by_its_first_bytes() {
        let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let (half, rest) = data.split_at(500_001);
        let skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
        for (name, packed) in [
            ("plain", data.clone()),
            ("gzip", gzip(&data)),
            ("gzip in two members", [gzip(half), gzip(rest)].concat()),
            ("zstd", zstd(&data)),
            ("zstd in two frames", [zstd(half), skippable.to_vec(), zstd(rest)].concat()),
            ("zstd after a skippable frame", [skippable.to_vec(), zstd(&data)].concat()),
        ] {
            assert!(read(&packed, Limits::default()).unwrap() == data, "{name}");
        }
        assert_eq!(read(b"", Limits::default()).unwrap(), b"");
    }

    #[test]
    fn what_cannot_be_unpacked_is_named() {
        assert!(read(b"BZh91AY", Limits::default()).unwrap_err().contains("bzip2"));
        assert!(read(b"\xfd7zXZ\0", Limits::default()).unwrap_err().contains("xz"));
        assert_eq!(Packing::of(b""), Packing::Plain);
        let packed = gzip(&[1; 10_000]);
        read(&packed[..packed.len() - 9], Limits::default()).unwrap_err();
        let packed = zstd(&[1; 10_000]);
        read(&packed[..packed.len() - 9], Limits::default()).unwrap_err();
    }

    #[test]
    fn a_bomb_is_stopped() {
        let limits = Limits { ratio: 50, ratio_from: 100_000, ..Limits::default() };
        let zeros = vec![0; 2 << 20];
        for packed in [gzip(&zeros), zstd(&zeros)] {
            assert!(read(&packed, limits).unwrap_err().contains("for each byte in"));
        }
        // Little that is packed well is no bomb.
        assert_eq!(read(&gzip(&zeros[..90_000]), limits).unwrap().len(), 90_000);
    }
}
