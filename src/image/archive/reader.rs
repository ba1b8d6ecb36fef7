//! The entries of a tar stream, one after another.

use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

use tar::{EntryType, Header};

use super::pax::Pax;
use super::{Entry, Kind, sparse};
use crate::image::error::shown;
use crate::image::limits::Limits;

const BLOCK: usize = 512;
/// The field of the size.
const SIZE: Range<usize> = 124..136;
/// The most bytes of headers that belong to one entry: its long name, its extended attributes.
const HEADERS: u64 = 1 << 20;

/// Reads a tar stream. Call [`next`](Self::next) for an entry, then read its stored bytes from
/// the reader itself; what is left of them is skipped.
#[derive(Debug)]
pub(crate) struct TarReader<R> {
    input: R,
    limits: Limits,
    entries: u64,
    /// Bytes of the current entry that are not read yet.
    left: u64,
    /// Zero bytes after them, up to a whole block.
    padding: u64,
    done: bool,
}

/// The headers before an entry that say more of it.
#[derive(Default)]
struct Extra {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Pax,
    bytes: u64,
    any: bool,
}

impl<R: Read> TarReader<R> {
    /// A reader of `input`.
    pub(crate) fn new(input: R, limits: Limits) -> Self {
        Self { input, limits, entries: 0, left: 0, padding: 0, done: false }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// If the archive is malformed, ends too early or is over a limit.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.skip()?;
        let mut extra = Extra::default();
        while let Some(header) = self.header()? {
            self.count()?;
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => extra.name = Some(self.text(&header, &mut extra.bytes)?),
                EntryType::GNULongLink => extra.link = Some(self.text(&header, &mut extra.bytes)?),
                EntryType::XHeader => {
                    let data = self.data(&header, &mut extra.bytes)?;
                    extra.pax.read(&data).map_err(|reason| bad(reason.to_owned()))?;
                }
                // Git and others write comments here. A size or path for all that follows is
                // nothing a layer needs, and a way to make readers differ.
                EntryType::XGlobalHeader => {
                    let mut global = Pax::default();
                    let data = self.data(&header, &mut extra.bytes)?;
                    global.read(&data).map_err(|reason| bad(reason.to_owned()))?;
                    if global.size.is_some() || global.path.is_some() || global.link.is_some() {
                        return Err(bad("a global PAX header sets paths or sizes".to_owned()));
                    }
                    continue;
                }
                _ => return self.entry(&header, extra).map(Some),
            }
            extra.any = true;
        }
        if extra.any {
            return Err(bad("the archive ends in the middle of an entry".to_owned()));
        }
        Ok(None)
    }

    /// Reads what follows the end of the archive, so that a digest over the stream is over all of it.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        self.skip()?;
        io::copy(&mut self.input, &mut io::sink())?;
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(bad(format!("it has more than {} entries", self.limits.entries)));
        }
        Ok(())
    }

    /// The next header; `None` at the end of the archive: a block of zeros, or of the stream.
    fn header(&mut self) -> io::Result<Option<Header>> {
        if self.done {
            return Ok(None);
        }
        let mut header = Header::new_old();
        let got = read_full(&mut self.input, header.as_mut_bytes())?;
        if got == 0 || (got == BLOCK && header.as_bytes().iter().all(|b| *b == 0)) {
            self.done = true;
            return Ok(None);
        }
        if got < BLOCK {
            return Err(bad("the archive ends in the middle of a header".to_owned()));
        }
        let sum = header.as_bytes().iter().enumerate().fold(0_u32, |sum, (at, byte)| {
            sum + u32::from(if (148..156).contains(&at) { b' ' } else { *byte })
        });
        if header.cksum().ok() != Some(sum) {
            return Err(bad(
                "a header has a wrong checksum: this is no tar archive, or damaged".to_owned()
            ));
        }
        Ok(Some(header))
    }

    /// The data of a header that says more of the next entry.
    fn data(&mut self, header: &Header, so_far: &mut u64) -> io::Result<Vec<u8>> {
        let size = number(header, SIZE, Header::entry_size)?;
        *so_far = so_far.saturating_add(size);
        if *so_far > HEADERS {
            return Err(bad(format!("the headers of an entry are longer than {HEADERS} bytes")));
        }
        self.begin(size);
        let mut data = Vec::new();
        Read::by_ref(self).take(size).read_to_end(&mut data)?;
        if data.len() as u64 != size {
            return Err(bad("the archive ends in the middle of a header".to_owned()));
        }
        self.skip()?;
        Ok(data)
    }

    /// The same, as a path that ends with a NUL byte.
    fn text(&mut self, header: &Header, so_far: &mut u64) -> io::Result<Vec<u8>> {
        let mut data = self.data(header, so_far)?;
        while data.last() == Some(&0) {
            data.pop();
        }
        Ok(data)
    }

    fn entry(&mut self, header: &Header, extra: Extra) -> io::Result<Entry> {
        let Extra { name, link, mut pax, .. } = extra;
        let path = (pax.sparse_name.take())
            .or(pax.path.take())
            .or(name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax
            .link
            .take()
            .or(link)
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let kind = kind(header, &path)?;
        let mut entry = Entry {
            mode: number(header, 100..108, Header::mode)? & 0o7777,
            uid: pax.uid.map_or_else(|| id(number(header, 108..116, Header::uid)?), Ok)?,
            gid: pax.gid.map_or_else(|| id(number(header, 116..124, Header::gid)?), Ok)?,
            mtime: pax.mtime.unwrap_or_else(|| mtime(header)),
            xattrs: std::mem::take(&mut pax.xattrs),
            path,
            kind,
            link: if matches!(kind, Kind::Symlink | Kind::HardLink) { link } else { Vec::new() },
            size: 0,
            segments: None,
        };
        self.check_paths(&entry)?;
        self.begin_entry(header, &pax, &mut entry)?;
        Ok(entry)
    }

    fn begin_entry(&mut self, header: &Header, pax: &Pax, entry: &mut Entry) -> io::Result<()> {
        let stored = pax.size.map_or_else(|| number(header, SIZE, Header::entry_size), Ok)?;
        if entry.kind != Kind::File {
            // Some writers give a hard link the size of its file, without the data.
            self.begin(if entry.kind == Kind::HardLink { 0 } else { stored });
            return Ok(());
        }
        entry.size = stored;
        if header.entry_type() == EntryType::GNUSparse {
            entry.segments = Some(sparse::gnu(header, &mut self.input)?);
            entry.size = header.as_gnu().map_or(Ok(stored), tar::GnuHeader::real_size)?;
            self.begin(stored);
        } else if pax.sparse == (Some(1), Some(0)) {
            self.begin(stored);
            entry.segments = Some(sparse::pax(self)?.0);
            entry.size =
                pax.sparse_size.ok_or_else(|| bad("a sparse file has no size".to_owned()))?;
        } else if pax.old_sparse || pax.sparse != (None, None) {
            let path = shown(&entry.path);
            return Err(bad(format!(
                "{path}: this form of sparse file is not supported; pack it with `--sparse-version=1.0`"
            )));
        } else {
            self.begin(stored);
        }
        if let Some(segments) = &entry.segments {
            sparse::check(segments, self.left, entry.size)?;
        }
        Ok(())
    }

    fn check_paths(&self, entry: &Entry) -> io::Result<()> {
        let depth = entry.path.split(|b| *b == b'/').filter(|name| !name.is_empty()).count();
        let nul = entry.path.contains(&0) || entry.link.contains(&0);
        let long = entry.path.len() >= self.limits.path || entry.link.len() >= self.limits.path;
        if nul || long || depth > self.limits.depth {
            let reason = if nul { "has a NUL byte" } else { "is too long or too deep" };
            return Err(bad(format!("{}: the path {reason}", shown(&entry.path))));
        }
        Ok(())
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// Reads past what is left of the current entry.
    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left.saturating_add(std::mem::take(&mut self.padding));
        self.left = 0;
        let skipped = io::copy(&mut Read::by_ref(&mut self.input).take(rest), &mut io::sink())?;
        if skipped == rest {
            return Ok(());
        }
        Err(bad("the archive ends in the middle of a file".to_owned()))
    }
}

impl<R: Read> Read for TarReader<R> {
    /// Reads stored bytes of the current entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.input.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(bad("the archive ends in the middle of a file".to_owned()));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

fn kind(header: &Header, path: &[u8]) -> io::Result<Kind> {
    Ok(match header.entry_type() {
        // Archives older than POSIX write a directory as a file whose name ends with a slash.
        EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::HardLink,
        EntryType::Char | EntryType::Block => Kind::Device,
        EntryType::Fifo => Kind::Fifo,
        other => {
            let byte = char::from(other.as_byte()).escape_default();
            let path = shown(path);
            return Err(bad(format!("{path}: entries of type `{byte}` are not supported")));
        }
    })
}

/// A number of a header. An empty field means 0, as for other programs.
fn number<T: Default>(
    header: &Header,
    field: Range<usize>,
    read: impl Fn(&Header) -> io::Result<T>,
) -> io::Result<T> {
    let empty = header.as_bytes()[field].iter().all(|b| matches!(b, 0 | b' '));
    if empty { Ok(T::default()) } else { read(header) }
}

fn id(number: u64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| bad(format!("{number} is no user or group id")))
}

fn mtime(header: &Header) -> Duration {
    // Times before the epoch are written in binary and read as huge: they become the epoch.
    let seconds = header.mtime().unwrap_or(0);
    Duration::from_secs(if i64::try_from(seconds).is_ok() { seconds } else { 0 })
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn bad(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
