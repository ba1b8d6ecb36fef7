use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::cli::tests_support::task;
use crate::model::{Health, Protocol, Publication, TaskState, Timestamp};

#[test]
fn lengths_of_time_are_said_as_docker_says_them() {
    let check = |seconds, expected: &str| {
        assert_eq!(human(Duration::from_secs(seconds)), expected, "{seconds}");
    };
    check(0, "Less than a second");
    check(1, "1 second");
    check(59, "59 seconds");
    check(60, "About a minute");
    check(120, "2 minutes");
    check(3599, "59 minutes");
    check(3600, "About an hour");
    check(2 * 3600, "2 hours");
    check(47 * 3600, "47 hours");
    check(48 * 3600, "2 days");
    check(14 * 86400, "2 weeks");
    check(70 * 86400, "2 months");
    check(800 * 86400, "2 years");
    assert_eq!(ago(Duration::from_secs(180)), "3 minutes ago");
}

#[test]
fn sizes_have_three_digits() {
    let check = |bytes, expected: &str| assert_eq!(decimal(bytes), expected, "{bytes}");
    check(0, "0B");
    check(999, "999B");
    check(1000, "1.00kB");
    check(7_660_000, "7.66MB");
    check(99_940_000, "99.9MB");
    check(99_960_000, "100MB");
    check(999_900, "1.00MB");
    check(u64::MAX, "18.4EB");
    assert_eq!(binary(1024 * 1024 * 3 / 2), "1.50MiB");
    assert_eq!(binary(1023), "1023B");
}

#[test]
fn times_are_written_for_programs_and_for_people() {
    let time = Timestamp(Duration::from_nanos(1_767_323_045_000_000_005));
    assert_eq!(rfc3339(time), "2026-01-02T03:04:05.000000005Z");
    assert_eq!(time::in_zone(time, TimeZone::UTC), "2026-01-02 03:04:05 +0000 UTC");
    let endless = Timestamp(Duration::MAX);
    assert!(rfc3339(endless).starts_with("9999-"), "no panic");
}

#[track_caller]
fn check_duration(text: &str, expected: Result<u64, ()>) {
    let millis = duration(text).map(|length| u64::try_from(length.as_millis()).unwrap());
    assert_eq!(millis.map_err(drop), expected, "{text}");
}

#[test]
fn lengths_of_time_are_read_as_people_type_them() {
    check_duration("10", Ok(10_000));
    check_duration("0", Ok(0));
    check_duration("1.5", Ok(1_500));
    check_duration("1.5s", Ok(1_500));
    check_duration("2m30s", Ok(150_000));
    check_duration("1h", Ok(3_600_000));
    check_duration("250ms", Ok(250));
    for bad in ["", "soon", "-1", "1x", "m", "1m-2s", "1e300", "nan", "inf", "1.2.3s", "ü", "5ü"]
    {
        check_duration(bad, Err(()));
    }
}

#[test]
fn moments_are_dates_or_how_long_ago() {
    let now = Timestamp(Duration::from_secs(1_000_000));
    let seconds = |text| moment(text, now).map(|time| time.0.as_secs());
    assert_eq!(seconds("10m"), Ok(999_400));
    assert_eq!(seconds("1970-01-01T00:01:00Z"), Ok(60));
    assert_eq!(seconds("1970-01-01T01:01:00+01:00"), Ok(60));
    assert_eq!(seconds("1234.5"), Ok(1234));
    assert_eq!(seconds("99999999h"), Ok(0), "before the beginning of time is from the beginning");
    assert!(moment("1970-01-01T00:01:00", now).is_ok(), "in the user's own zone");
    assert!(moment("1970-01-01", now).is_ok());
    assert_eq!(seconds("1900-01-01T00:00:00Z"), Ok(0));
    for bad in ["", "yesterday", "1970-13-01T00:00:00Z", "-5", "nan"] {
        assert!(moment(bad, now).is_err(), "{bad}");
    }
}

fn published(host_ip: Option<&str>, host_port: u16, backends: &[(&str, u16)]) -> Publication {
    let backend = |(ip, port): &(&str, u16)| (ip.parse().unwrap(), *port);
    Publication {
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port,
        protocol: Protocol::Tcp,
        backends: backends.iter().map(backend).collect(),
        owner: "shop/web".to_owned(),
    }
}

#[test]
fn ports_are_written_as_docker_writes_them() {
    let mut task = task("web", 1, TaskState::Running);
    task.addresses = BTreeMap::from([("shop_default".to_owned(), "10.0.0.2".parse().unwrap())]);
    let check = |task: &crate::model::TaskStatus, expected: &str| {
        assert_eq!(ports(&publishers(task)), expected);
    };
    check(&task, "");
    task.publications = vec![published(None, 8080, &[("10.0.0.9", 81), ("10.0.0.2", 80)])];
    check(&task, "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
    task.publications = vec![published(Some("127.0.0.1"), 8080, &[("10.0.0.9", 81)])];
    check(&task, "127.0.0.1:8080->81/tcp");
    task.publications = vec![published(Some("::1"), 8080, &[])];
    check(&task, "[::1]:8080/tcp");
}

#[test]
fn the_status_says_how_it_is_and_why() {
    let check = |state, change: &dyn Fn(&mut crate::model::TaskStatus), expected: &str| {
        let mut task = task("web", 1, state);
        change(&mut task);
        assert_eq!(status(&task), expected);
    };
    check(
        TaskState::Pending,
        &|t| t.reason = Some("waiting for db".to_owned()),
        "Waiting: waiting for db",
    );
    check(TaskState::Running, &|t| t.running_for = Some(Duration::from_secs(125)), "Up 2 minutes");
    check(
        TaskState::Running,
        &|t| (t.running_for, t.health) = (Some(Duration::from_secs(5)), Health::Starting),
        "Up 5 seconds (health: starting)",
    );
    check(TaskState::Running, &|t| t.health = Health::Unhealthy, "Up (unhealthy)");
    check(
        TaskState::Paused,
        &|t| t.running_for = Some(Duration::from_secs(1)),
        "Up 1 second (Paused)",
    );
    check(TaskState::Completed, &|t| t.exit_code = Some(0), "Exited (0)");
    check(
        TaskState::Failed,
        &|t| (t.exit_code, t.oom) = (Some(137), true),
        "Exited (137), out of memory",
    );
    check(
        TaskState::Failed,
        &|t| (t.exit_code, t.reason) = (Some(3), Some("exited with status 3".to_owned())),
        "Exited (3)",
    );
}

#[test]
fn a_table_has_three_blanks_between_columns_and_none_at_the_end() {
    let rows = [["web-1", "a\nb"], ["ü-1", ""]].map(|row| row.map(str::to_owned));
    assert_eq!(table(&["NAME", "STATUS"], rows), "NAME    STATUS\nweb-1   a b\nü-1\n");
    assert_eq!(table(&["NAME"], Vec::<Vec<String>>::new()), "NAME\n");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    assert_eq!(shortened("hello", 5), "hello");
    assert_eq!(shortened("hällo!", 5), "häll…");
    assert_eq!(shortened("x", 0), "…");
}
