use std::time::Duration;

use super::*;
use crate::api::control::{LogLine, OutputStream};
use crate::model::Timestamp;

fn entry(container: &str, line: &[u8], partial: bool) -> LogEntry {
    let time = Timestamp(Duration::from_secs(1));
    LogEntry {
        stack: "shop".to_owned(),
        service: "web".to_owned(),
        slot: 1,
        container: container.to_owned(),
        line: LogLine { time, stream: OutputStream::Stdout, line: line.to_vec(), partial },
    }
}

fn render(view: &mut LogView, entries: &[LogEntry]) -> String {
    let mut text = Vec::new();
    for entry in entries {
        view.render(entry, &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn lines_have_the_name_of_their_container_in_one_column() {
    let mut view = LogView::new(Style(false), true, false);
    view.expect("shop-worker-1", "shop");
    let text =
        render(&mut view, &[entry("shop-web-1", b"a", false), entry("shop-worker-1", b"b", false)]);
    assert_eq!(text, "web-1     | a\nworker-1  | b\n");
}

#[test]
fn a_name_of_its_own_is_shown_in_full() {
    let mut view = LogView::new(Style(false), true, false);
    assert_eq!(render(&mut view, &[entry("shopping", b"a", false)]), "shopping  | a\n");
}

#[test]
fn lines_can_have_times_and_no_names() {
    let mut view = LogView::new(Style(false), false, true);
    let text = render(&mut view, &[entry("shop-web-1", b"a", false)]);
    assert_eq!(text, "1970-01-01T00:00:01.000000000Z a\n");
}

#[test]
fn parts_of_a_line_are_put_together_though_others_write_meanwhile() {
    let mut view = LogView::new(Style(false), true, false);
    let entries = [
        entry("shop-web-1", b"one ", true),
        entry("shop-api-1", b"other", false),
        entry("shop-web-1", b"line", false),
    ];
    assert_eq!(render(&mut view, &entries), "api-1  | other\nweb-1  | one line\n");
}

#[test]
fn an_endless_line_is_cut_in_pieces() {
    let mut view = LogView::new(Style(false), false, false);
    let part = vec![b'x'; LONGEST / 2];
    let entries = [entry("shop-web-1", &part, true), entry("shop-web-1", &part, true)];
    assert_eq!(render(&mut view, &entries).len(), LONGEST + 1);
    assert!(view.parts.is_empty());
}

#[test]
fn each_container_keeps_its_colour() {
    let mut view = LogView::new(Style(true), true, false);
    let text = render(
        &mut view,
        &[
            entry("shop-web-1", b"a", false),
            entry("shop-api-1", b"b", false),
            entry("shop-web-1", b"c", false),
        ],
    );
    let colours: Vec<_> = text.lines().map(|line| &line[..5]).collect();
    assert_eq!(colours, ["\x1b[36m", "\x1b[33m", "\x1b[36m"]);
}
