use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

const OPTIONS: LogOptions = LogOptions { max_size: 64 << 10, max_files: 1000, compress: false };

fn at(seconds: u64) -> Timestamp {
    Timestamp(Duration::from_secs(seconds))
}

fn log() -> (TempDir, LogWriter) {
    let dir = TempDir::new().unwrap();
    let writer = LogWriter::open(dir.path(), OPTIONS, 1).unwrap();
    (dir, writer)
}

fn all(dir: &TempDir, query: LogQuery) -> Vec<Record> {
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    std::iter::from_fn(|| reader.read().unwrap()).collect()
}

/// Records as text: `1:o:hello`, a partial one ends with `…`, one that goes on begins with it.
fn lines(dir: &TempDir, query: LogQuery) -> Vec<String> {
    let show = |record: Record| {
        let stream = match record.stream {
            Stream::Stdout => 'o',
            Stream::Stderr => 'e',
            Stream::Orca => '!',
        };
        let text = String::from_utf8_lossy(&record.bytes).into_owned();
        let (from, to) =
            (if record.continued { "…" } else { "" }, if record.partial { "…" } else { "" });
        format!("{}:{stream}:{from}{text}{to}", record.attempt)
    };
    all(dir, query).into_iter().map(show).collect()
}

/// What a stream printed, byte for byte.
fn output(records: &[Record], stream: Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().filter(|record| record.stream == stream) {
        bytes.extend(&record.bytes);
        bytes.extend((!record.partial).then_some(b'\n'));
    }
    bytes
}

fn tail(count: u64) -> LogQuery {
    LogQuery { tail: Some(count), ..LogQuery::default() }
}

#[test]
fn lines_come_back_with_stream_time_and_attempt() {
    let (dir, mut writer) = log();
    writer.write(Stream::Stdout, b"one\ntwo\n", at(5));
    writer.write(Stream::Stderr, b"bad\n\n", at(6));
    drop(writer);
    let mut writer = LogWriter::open(dir.path(), OPTIONS, 2).unwrap();
    writer.write(Stream::Stdout, b"three\n", at(7));
    let expected = ["1:o:one", "1:o:two", "1:e:bad", "1:e:", "2:o:three"];
    assert_eq!(lines(&dir, LogQuery::default()), expected);
    let times: Vec<_> = all(&dir, LogQuery::default()).iter().map(|one| one.time).collect();
    assert_eq!(times, [at(5), at(5), at(6), at(6), at(7)]);
}

#[test]
fn parts_of_lines_are_kept_as_they_come() {
    let (dir, mut writer) = log();
    writer.write(Stream::Stdout, b"name: ", at(1));
    writer.write(Stream::Stderr, b"warn\n", at(1));
    writer.write(Stream::Stdout, b"orca\nend", at(1));
    let expected = ["1:o:name: …", "1:e:warn", "1:o:…orca", "1:o:end…"];
    assert_eq!(lines(&dir, LogQuery::default()), expected);
}

#[test]
fn bytes_of_any_kind_and_length_come_back_exactly() {
    let (dir, mut writer) = log();
    let mut bytes = Vec::new();
    let mut state = 1_u32;
    for _ in 0..400_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, _, _, byte] = state.to_le_bytes();
        // New lines are rare in one half, so that lines are longer than a record may be.
        bytes.push(if bytes.len() > 200_000 && byte == b'\n' { 0xa7 } else { byte });
    }
    for piece in bytes.chunks(7919) {
        writer.write(Stream::Stdout, piece, at(1));
        writer.write(Stream::Stderr, &piece[..piece.len() / 2], at(1));
    }
    let records = all(&dir, LogQuery::default());
    assert!(output(&records, Stream::Stdout) == bytes);
    assert!(records.iter().all(|record| record.bytes.len() <= 16 << 10));
    assert!(fs::read_dir(dir.path()).unwrap().count() > 5, "it was rotated");
}

#[test]
fn the_tail_is_the_last_lines_also_over_files() {
    let (dir, mut writer) = log();
    for line in 0..10_000 {
        writer.write(Stream::Stdout, format!("line {line}\n").as_bytes(), at(1));
    }
    writer.write(Stream::Stdout, b"half", at(1));
    writer.write(Stream::Stdout, b" and half", at(1));
    assert_eq!(lines(&dir, tail(2)), ["1:o:line 9999", "1:o:half…", "1:o:… and half…"]);
    let last = lines(&dir, tail(5000));
    assert_eq!((last.len(), last[0].as_str()), (5001, "1:o:line 5001"));
    assert_eq!(lines(&dir, tail(1 << 40)).len(), 10_002);
    assert_eq!(lines(&dir, tail(0)), [] as [&str; 0]);
}

#[test]
fn the_tail_counts_what_was_asked_for() {
    let (dir, mut writer) = log();
    for second in 0..10 {
        writer.write(Stream::Stdout, format!("out {second}\n").as_bytes(), at(second));
        writer.write(Stream::Stderr, format!("err {second}\n").as_bytes(), at(second));
    }
    let only = LogQuery { stream: Some(Stream::Stderr), ..tail(2) };
    assert_eq!(lines(&dir, only), ["1:e:err 8", "1:e:err 9"]);
    let until = LogQuery { until: Some(at(3)), stream: Some(Stream::Stdout), ..tail(2) };
    assert_eq!(lines(&dir, until), ["1:o:out 1", "1:o:out 2"]);
    let window = LogQuery { since: Some(at(4)), until: Some(at(5)), ..LogQuery::default() };
    assert_eq!(lines(&dir, window), ["1:o:out 4", "1:e:err 4"]);
}

#[test]
fn the_log_keeps_to_its_bounds() {
    for compress in [false, true] {
        let dir = TempDir::new().unwrap();
        let options = LogOptions { max_files: 3, compress, ..OPTIONS };
        let mut writer = LogWriter::open(dir.path(), options, 7).unwrap();
        for line in 0..20_000 {
            writer.write(Stream::Stdout, format!("line {line}\n").as_bytes(), at(1));
            if line % 1000 == 0 {
                let files = fs::read_dir(dir.path()).unwrap();
                let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
                // With a file on its way to be compressed beside it.
                assert!(size <= 4 * OPTIONS.max_size, "{size}");
            }
        }
        drop(writer);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(
            names.iter().filter(|name| name.ends_with(".gz")).count(),
            2 * usize::from(compress)
        );
        let last = lines(&dir, LogQuery::default());
        let first: usize = last[0].strip_prefix("7:o:line ").unwrap().parse().unwrap();
        let expected: Vec<_> = (first..20_000).map(|line| format!("7:o:line {line}")).collect();
        assert_eq!(last, expected);
    }
}

#[test]
fn a_log_cut_at_any_byte_keeps_its_whole_records_and_goes_on() {
    let (dir, mut writer) = log();
    writer.write(Stream::Stdout, b"first\n", at(1));
    writer.write(Stream::Stderr, b"second\n", at(2));
    let (number, before) = writer.position();
    writer.write(Stream::Stdout, b"third, which is cut\n", at(3));
    drop(writer);
    let file = segment::path(dir.path(), number);
    let whole = fs::read(&file).unwrap();
    for length in 0..=whole.len() {
        for garbage in [&b""[..], &[0; 40], &[0xa7; 9]] {
            fs::write(&file, [&whole[..length], garbage].concat()).unwrap();
            let is_cut = length < whole.len();
            let seen = lines(&dir, LogQuery::default());
            assert_eq!(seen.len(), if is_cut { 2.min(seen.len()) } else { 3 });
            if length as u64 >= before {
                assert_eq!(seen[..2], ["1:o:first", "1:e:second"]);
            }
            let mut writer = LogWriter::open(dir.path(), OPTIONS, 2).unwrap();
            writer.write(Stream::Stdout, b"more\n", at(4));
            let again = lines(&dir, LogQuery::default());
            assert_eq!(again[..again.len() - 1], seen);
            assert_eq!(again[again.len() - 1], "2:o:more");
        }
    }
}

#[test]
fn damage_in_the_middle_loses_only_what_it_hit() {
    let (dir, mut writer) = log();
    for line in 0..100 {
        writer.write(Stream::Stdout, format!("line {line}\n").as_bytes(), at(1));
    }
    let file = segment::path(dir.path(), 1);
    let mut bytes = fs::read(&file).unwrap();
    bytes[500..520].fill(0);
    fs::write(&file, bytes).unwrap();
    let seen = lines(&dir, LogQuery::default());
    assert!((97..100).contains(&seen.len()), "{}", seen.len());
    assert_eq!(seen[seen.len() - 1], "1:o:line 99");
}

/// A mount that goes with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _done = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn what_a_full_disk_does_not_take_is_counted() {
    let dir = TempDir::new().unwrap();
    let mount = dir.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let size = Some(c"size=256k");
    rustix::mount::mount("none", &mount, "tmpfs", rustix::mount::MountFlags::empty(), size)
        .unwrap();
    let _mounted = Mounted(mount.clone());
    let options = LogOptions { max_size: 1 << 20, ..OPTIONS };
    let mut writer = LogWriter::open(&mount, options, 1).unwrap();
    let filler = mount.join("filler");
    fs::write(&filler, vec![0; 200 << 10]).unwrap();
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let mut written = 0_u64;
    while writer.dropped() == 0 {
        writer.write(Stream::Stdout, &line, at(1));
        written += 1000;
    }
    writer.write(Stream::Stdout, &line, at(1));
    assert_eq!(writer.dropped(), 2000);
    fs::remove_file(&filler).unwrap();
    writer.write(Stream::Stdout, b"there is room\n", at(2));
    let mut reader = LogReader::open(&mount, LogQuery::default()).unwrap();
    let records: Vec<_> = std::iter::from_fn(|| reader.read().unwrap()).collect();
    drop((reader, writer));
    let [before @ .., loss, last] = records.as_slice() else { panic!("{}", records.len()) };
    assert_eq!(before.len() as u64, written / 1000 - 1);
    assert_eq!(loss.stream, Stream::Orca);
    let told = "2000 bytes of output are missing here: they could not be written";
    assert_eq!(String::from_utf8_lossy(&loss.bytes), told);
    assert_eq!(last.bytes, b"there is room");
}

#[tokio::test]
async fn a_follower_loses_nothing_while_files_rotate_under_it() {
    let (dir, mut writer) = log();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    let thread = std::thread::spawn(move || {
        for line in 0..30_000 {
            writer.write(Stream::Stdout, format!("line {line}\n").as_bytes(), at(1));
        }
        writer
    });
    for line in 0..30_000 {
        let record = tokio::time::timeout(Duration::from_secs(20), reader.next()).await;
        let record = record.expect("a record in time").unwrap().unwrap();
        assert_eq!(record.bytes, format!("line {line}").as_bytes());
    }
    assert!(thread.join().unwrap().position().0 > 5, "it was rotated");
}

#[tokio::test]
async fn a_follower_that_is_too_slow_is_told_what_it_missed() {
    let dir = TempDir::new().unwrap();
    let options = LogOptions { max_files: 1, ..OPTIONS };
    let mut writer = LogWriter::open(dir.path(), options, 1).unwrap();
    let query = LogQuery { follow: true, ..LogQuery::default() };
    writer.write(Stream::Stdout, b"begin\n", at(1));
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().bytes, b"begin");
    while writer.position().0 < 4 {
        writer.write(Stream::Stdout, &[b'x'; 8000], at(1));
    }
    writer.write(Stream::Stdout, b"\nend\n", at(1));
    let mut told = 0;
    loop {
        let record = reader.next().await.unwrap().unwrap();
        told += usize::from(record.stream == Stream::Orca);
        if record.bytes == b"end" {
            break;
        }
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_follower_wakes_for_a_line_and_ends_with_the_log() {
    let (dir, mut writer) = log();
    let query = LogQuery { follow: true, tail: Some(0), ..LogQuery::default() };
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), reader.next()).await;
    assert!(nothing.is_err(), "it waits");
    writer.write(Stream::Stdout, b"now\n", at(1));
    assert_eq!(reader.next().await.unwrap().unwrap().bytes, b"now");
    drop(writer);
    let path = dir.path().to_owned();
    let removal = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(dir);
    });
    assert_eq!(reader.next().await.unwrap(), None);
    removal.join().unwrap();
    assert!(matches!(LogReader::open(&path, LogQuery::default()), Err(LogError::Open { .. })));
}

#[tokio::test]
async fn a_follower_ends_at_the_time_it_was_given() {
    let (dir, _writer) = log();
    let until = Timestamp(crate::sys::clock::wall().0 + Duration::from_millis(80));
    let query = LogQuery { follow: true, until: Some(until), ..LogQuery::default() };
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    let start = Instant::now();
    assert_eq!(reader.next().await.unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(70));
}

#[tokio::test]
async fn a_log_that_is_empty_has_no_end_until_it_does() {
    let dir = TempDir::new().unwrap();
    assert_eq!(lines(&dir, LogQuery::default()), [] as [&str; 0]);
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut reader = LogReader::open(dir.path(), query).unwrap();
    let first = tokio::spawn(async move { reader.next().await.unwrap().unwrap().bytes });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut writer = LogWriter::open(dir.path(), OPTIONS, 1).unwrap();
    writer.write(Stream::Stdout, b"born later\n", at(1));
    assert_eq!(first.await.unwrap(), b"born later");
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_a_file_are_read_without_a_panic(bytes: Vec<u8>) {
        let dir = TempDir::new().unwrap();
        fs::write(segment::path(dir.path(), 1), &bytes).unwrap();
        fs::write(segment::compressed_path(dir.path(), 2), &bytes).unwrap();
        let mut reader = LogReader::open(dir.path(), LogQuery::default()).unwrap();
        while let Ok(Some(_)) = reader.read() {}
    }
}

#[test]
fn full_files_are_compressed_by_whoever_has_the_time() {
    let (dir, mut writer) = log();
    let mut expected = Vec::new();
    for line in 0..20_000 {
        let text = format!("line {line}");
        writer.write(Stream::Stdout, format!("{text}\n").as_bytes(), at(1));
        expected.push(text);
    }
    let last = writer.position().0;
    assert!(last > 2, "it was rotated");
    let count = compress_full(dir.path()).unwrap();
    assert!(count > 0);
    assert_eq!(compress_full(dir.path()).unwrap(), 0, "once is enough");
    let plain = |number| segment::path(dir.path(), number).exists();
    assert!(plain(last) && !plain(last - 1));
    writer.write(Stream::Stdout, b"later\n", at(1));
    expected.push("later".to_owned());
    let text = |record: Record| String::from_utf8(record.bytes).unwrap();
    let found: Vec<_> = all(&dir, LogQuery::default()).into_iter().map(text).collect();
    assert!(found == expected, "{} of {} lines, in their order", found.len(), expected.len());
}
