use std::io::Read as _;
use std::time::Duration;

use tar::EntryType;

use super::{Entry, Kind, Segment, TarReader};
use crate::image::limits::Limits;
use crate::image::testing::{Archive, header};

type All = Vec<(Entry, Vec<u8>)>;

fn read_with(bytes: &[u8], limits: Limits) -> Result<All, String> {
    let mut reader = TarReader::new(bytes, limits);
    let mut all = Vec::new();
    while let Some(entry) = reader.next().map_err(|error| error.to_string())? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data).map_err(|error| error.to_string())?;
        all.push((entry, data));
    }
    reader.drain().map_err(|error| error.to_string())?;
    Ok(all)
}

fn read(bytes: &[u8]) -> Result<All, String> {
    read_with(bytes, Limits::default())
}

#[test]
fn entries_come_with_what_is_said_of_them() {
    let long = "d/".repeat(80) + "file";
    let mut archive = Archive::new().dir("d/").file("d/a", "content").symlink("l", "d/a");
    archive = archive.entry("././@LongLink", EntryType::GNULongName, 0, "", long.as_bytes());
    let all = read(&archive.file("short", "x").end()).unwrap();
    let seen: Vec<_> =
        all.iter().map(|(e, data)| (e.path.clone(), e.kind, data.as_slice())).collect();
    assert_eq!(
        seen,
        [
            (b"d/".to_vec(), Kind::Directory, b"".as_slice()),
            (b"d/a".to_vec(), Kind::File, b"content"),
            (b"l".to_vec(), Kind::Symlink, b""),
            (long.into_bytes(), Kind::File, b"x"),
        ]
    );
    let (entry, _) = &all[1];
    assert_eq!((entry.uid, entry.gid, entry.mode, entry.size), (1000, 1001, 0o644, 7));
    assert_eq!(entry.mtime, Duration::from_secs(1_234_567_890));
    assert_eq!(all[2].0.link, b"d/a");
}

#[test]
fn pax_headers_win_over_the_plain_ones() {
    let archive = Archive::new()
        .pax(&[
            ("path", b"real\xff"),
            ("uid", b"4000000000"),
            ("gid", b"7"),
            ("mtime", b"12.25"),
            ("SCHILY.xattr.user.a", b"x\0y=\nz"),
            ("comment", b"whatever"),
        ])
        .file("other", "content")
        .pax(&[("linkpath", b"there"), ("mtime", b"-5.5")])
        .symlink("l", "here")
        .file("last", "");
    let all = read(&archive.end()).unwrap();
    let entry = &all[0].0;
    assert_eq!(
        (entry.path.as_slice(), entry.uid, entry.gid),
        (b"real\xff".as_slice(), 4_000_000_000, 7)
    );
    assert_eq!(entry.mtime, Duration::from_millis(12_250));
    assert_eq!(entry.xattrs, [("user.a".to_owned(), b"x\0y=\nz".to_vec())]);
    assert_eq!((all[1].0.link.as_slice(), all[1].0.mtime), (b"there".as_slice(), Duration::ZERO));
    // Its header is not for the entry after the next.
    assert_eq!(all[2].0.path, b"last");
}

#[test]
fn the_size_of_a_pax_header_is_the_size() {
    // RUSTSEC-2026-0068: readers that go by the plain size see another entry inside the data.
    let hidden = Archive::new().file("hidden", "boo").unended();
    let mut archive = Archive::new().pax(&[("size", hidden.len().to_string().as_bytes())]);
    let mut plain = header("outer", EntryType::Regular, 0o644, 0);
    plain.set_cksum();
    archive.raw(&plain, &hidden);
    let all = read(&archive.file("next", "n").end()).unwrap();
    let seen: Vec<_> = all.iter().map(|(e, data)| (e.path.as_slice(), data.len())).collect();
    assert_eq!(seen, [(b"outer".as_slice(), hidden.len()), (b"next", 1)]);
}

#[test]
fn files_with_holes_are_read_in_both_forms() {
    let mut gnu = header("gnu", EntryType::GNUSparse, 0o644, 6);
    let fields = gnu.as_gnu_mut().unwrap();
    fields.set_real_size(1_000_000);
    for (sparse, (offset, length)) in fields.sparse.iter_mut().zip([(512_u64, 4_u64), (900_000, 2)])
    {
        sparse.offset[..11].copy_from_slice(format!("{offset:011o}").as_bytes());
        sparse.numbytes[..11].copy_from_slice(format!("{length:011o}").as_bytes());
    }
    gnu.set_cksum();
    let mut archive = Archive::new();
    archive.raw(&gnu, b"abcdef");
    let mut map = b"2\n512\n4\n900000\n2\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"abcdef");
    let archive = archive
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"pax"),
            ("GNU.sparse.realsize", b"1000000"),
        ])
        .bytes("GNUSparseFile.0/pax", &map)
        .file("after", "x");
    let all = read(&archive.end()).unwrap();
    let pieces = [Segment { offset: 512, length: 4 }, Segment { offset: 900_000, length: 2 }];
    for (at, name) in [b"gnu", b"pax"].into_iter().enumerate() {
        let (entry, data) = &all[at];
        assert_eq!((entry.path.as_slice(), entry.size), (name.as_slice(), 1_000_000));
        assert_eq!(entry.segments.as_deref(), Some(pieces.as_slice()));
        assert_eq!(data, b"abcdef");
    }
    assert_eq!(all[2].1, b"x");
}

#[test]
fn malformed_archives_are_refused() {
    let pax = |data: &[u8]| {
        let mut archive = Archive::new();
        let mut extended = header("pax", EntryType::XHeader, 0o644, data.len() as u64);
        extended.set_cksum();
        archive.raw(&extended, data);
        archive.file("x", "").end()
    };
    let sparse = |map: &[u8]| {
        let keys: [(&str, &[u8]); 3] =
            [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
        let mut data = map.to_vec();
        data.resize(512, 0);
        Archive::new().pax(&keys).bytes("x", &[data, b"ab".to_vec()].concat()).end()
    };
    let mut wrong_sum = Archive::new().file("x", "").end();
    wrong_sum[3] ^= 1;
    let huge = {
        let mut archive = Archive::new();
        let mut long = header("x", EntryType::GNULongName, 0, 1 << 40);
        long.set_cksum();
        archive.raw(&long, b"");
        archive.end()
    };
    let big_id = {
        let mut archive = Archive::new();
        let mut entry = header("x", EntryType::Regular, 0o644, 0);
        entry.set_uid(1 << 40);
        entry.set_cksum();
        archive.raw(&entry, b"");
        archive.end()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("text", b"hello".repeat(200), "no tar archive"),
        ("a wrong checksum", wrong_sum, "checksum"),
        (
            "cut in a header",
            Archive::new().file("x", "").end()[..100].to_vec(),
            "middle of a header",
        ),
        (
            "cut in a file",
            Archive::new().bytes("x", &[1; 2000]).end()[..1024].to_vec(),
            "middle of a file",
        ),
        (
            "cut after a long name",
            Archive::new().pax(&[("path", b"p")]).end(),
            "middle of an entry",
        ),
        ("a huge long name", huge, "longer than"),
        ("a user id of 41 bits", big_id, "no user or group id"),
        (
            "a type nobody knows",
            Archive::new().entry("x", EntryType::new(b'V'), 0, "", b"").end(),
            "type `V`",
        ),
        ("PAX without length", pax(b"path=x\n"), "malformed"),
        ("PAX with a length of 0", pax(b"0 path=x\n"), "malformed"),
        ("PAX with a long length", pax(b"99 path=x\n"), "malformed"),
        ("PAX without newline", pax(b"9 path=x "), "malformed"),
        ("PAX without =", pax(b"8 pathx\n"), "no `=`"),
        ("PAX with NUL in a path", pax(b"12 path=a\0b\n"), "NUL"),
        ("PAX with a signed size", pax(b"10 size=+1\n"), "malformed"),
        ("an empty path by PAX", pax(b"8 path=\n"), "empty"),
        ("sparse pieces in the wrong order", sparse(b"2\n4\n1\n0\n1\n"), "overlap"),
        ("a sparse piece outside", sparse(b"1\n8\n2\n"), "outside"),
        ("sparse pieces that do not fit", sparse(b"1\n0\n1\n"), "do not fit"),
        ("a sparse map of nonsense", sparse(b"x\n"), "malformed"),
        ("a sparse map without end", sparse(b"99999999\n"), "too many"),
        (
            "old PAX sparse",
            Archive::new().pax(&[("GNU.sparse.map", b"0,1")]).file("x", "").end(),
            "not supported",
        ),
    ];
    for (name, bytes, reason) in cases {
        let error = read(&bytes).expect_err(name);
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn a_global_header_may_only_comment() {
    let global = |record: &[u8]| {
        let mut archive = Archive::new();
        let mut header = header("g", EntryType::XGlobalHeader, 0o644, record.len() as u64);
        header.set_cksum();
        archive.raw(&header, record);
        archive.file("x", "").end()
    };
    assert_eq!(read(&global(b"13 comment=a\n")).unwrap().len(), 1);
    assert!(read(&global(b"9 path=a\n")).unwrap_err().contains("global"));
    // Nothing follows it: that is no entry cut off.
    let alone = &global(b"13 comment=a\n")[..1024];
    assert_eq!(read(alone).unwrap(), []);
}

#[test]
fn limits_hold() {
    let archive = Archive::new().file("a", "").file("b", "").file("c/d/e/f", "").end();
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        read_with(&archive, limits)
    };
    assert!(with(|limits| limits.entries = 2).unwrap_err().contains("more than 2 entries"));
    assert!(with(|limits| limits.path = 5).unwrap_err().contains("too long"));
    assert!(with(|limits| limits.depth = 3).unwrap_err().contains("too deep"));
    assert_eq!(with(|_| ()).unwrap().len(), 3);
}

proptest::proptest! {
    #[test]
    fn no_archive_makes_it_panic(edits in proptest::collection::vec((0_usize..6000, 0_u8..), 0..40)) {
        let mut bytes = Archive::new()
            .pax(&[("path", b"a/b"), ("SCHILY.xattr.user.x", b"y")])
            .file("a", "content")
            .entry("././@LongLink", EntryType::GNULongName, 0, "", &[b'n'; 200])
            .file("x", "y")
            .symlink("l", "a")
            .end();
        for (at, byte) in edits {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        drop(read(&bytes));
    }
}
