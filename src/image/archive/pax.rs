//! Extended headers: `LENGTH KEY=VALUE\n`, see `pax(1)` of POSIX.

use std::time::Duration;

/// The records of an extended header that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Duration>,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// `GNU.sparse.major` and `.minor`.
    pub(super) sparse: (Option<u32>, Option<u32>),
    /// `GNU.sparse.name`.
    pub(super) sparse_name: Option<Vec<u8>>,
    /// `GNU.sparse.realsize`.
    pub(super) sparse_size: Option<u64>,
    /// A sparse format older than 1.0.
    pub(super) old_sparse: bool,
}

const XATTR: &str = "SCHILY.xattr.";

impl Pax {
    /// Reads the records of one header into this one: later ones win.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), &'static str> {
        while !data.is_empty() {
            let (record, rest) = split(data).ok_or("a record of a PAX header is malformed")?;
            self.record(record)?;
            data = rest;
        }
        Ok(())
    }

    fn record(&mut self, record: &[u8]) -> Result<(), &'static str> {
        let equals = record.iter().position(|b| *b == b'=').ok_or("a PAX record has no `=`")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        let key = str::from_utf8(key).map_err(|_| "a PAX key is not UTF-8")?;
        match key {
            "path" => self.path = Some(name(value)?),
            "linkpath" => self.link = Some(name(value)?),
            "size" => self.size = Some(number(value)?),
            "uid" => self.uid = Some(number(value)?),
            "gid" => self.gid = Some(number(value)?),
            "mtime" => self.mtime = Some(time(value)?),
            "GNU.sparse.major" => self.sparse.0 = Some(number(value)?),
            "GNU.sparse.minor" => self.sparse.1 = Some(number(value)?),
            "GNU.sparse.name" => self.sparse_name = Some(name(value)?),
            "GNU.sparse.realsize" => self.sparse_size = Some(number(value)?),
            "GNU.sparse.map" | "GNU.sparse.numblocks" | "GNU.sparse.size" => self.old_sparse = true,
            _ => {
                if let Some(attribute) = key.strip_prefix(XATTR) {
                    self.xattr(attribute, value)?;
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: &str, value: &[u8]) -> Result<(), &'static str> {
        if name.is_empty() || name.contains('\0') {
            return Err("an extended attribute has no proper name");
        }
        self.xattrs.retain(|(known, _)| known != name);
        self.xattrs.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
}

/// The first record's `KEY=VALUE`, and what follows it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?;
    Some((record.strip_suffix(b"\n")?, &data[length..]))
}

fn name(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() || value.contains(&0) {
        return Err("a PAX path is empty or has a NUL byte");
    }
    Ok(value.to_owned())
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, &'static str> {
    let bad = "a number of a PAX header is malformed";
    let digits = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits).and_then(|t| t.parse().ok()).ok_or(bad)
}

/// Seconds with a fraction. Times before the epoch become the epoch.
fn time(value: &[u8]) -> Result<Duration, &'static str> {
    if value.first() == Some(&b'-') {
        return Ok(Duration::ZERO);
    }
    let dot = value.iter().position(|b| *b == b'.').unwrap_or(value.len());
    let fraction = value.get(dot + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err("a time of a PAX header is malformed");
    }
    let digit = |at: usize| fraction.get(at).map_or(0, |d| u32::from(d - b'0'));
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + digit(at));
    Ok(Duration::new(number(&value[..dot])?, nanos))
}
