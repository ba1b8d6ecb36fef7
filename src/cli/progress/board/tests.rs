use super::*;
use crate::cli::progress::live::lines;
use crate::cli::style::Style;
use crate::cli::tests_support::{stack, task};

fn update(board: &mut Board, tasks: &[TaskStatus]) -> Vec<String> {
    board.update(Some(&stack(tasks)), Instant::now())
}

#[test]
fn a_line_for_each_change_and_none_without() {
    let mut board = Board::new(None);
    let mut web = task("web", 1, TaskState::Starting);
    assert_eq!(update(&mut board, &[web.clone()]), ["web-1  starting"]);
    assert!(update(&mut board, &[web.clone()]).is_empty());
    (web.state, web.health) = (TaskState::Running, Health::Starting);
    assert_eq!(update(&mut board, &[web.clone()]), ["web-1  started"]);
    web.health = Health::Healthy;
    assert_eq!(update(&mut board, &[web.clone()]), ["web-1  healthy"]);
    assert_eq!(board.update(None, Instant::now()), ["web-1  removed"]);
    assert!(board.update(None, Instant::now()).is_empty());
}

#[test]
fn what_was_there_before_is_no_news() {
    let web = task("web", 1, TaskState::Running);
    let mut board = Board::new(Some(&stack(std::slice::from_ref(&web))));
    assert!(update(&mut board, &[web]).is_empty());
}

#[test]
fn a_restart_that_is_over_at_once_is_still_told() {
    let mut web = task("web", 1, TaskState::Running);
    let mut board = Board::new(Some(&stack(std::slice::from_ref(&web))));
    web.restarts = 1;
    assert_eq!(update(&mut board, &[web]), ["web-1  started"]);
}

#[test]
fn a_container_that_is_replaced_is_not_told_to_be_removed() {
    let old = task("web", 1, TaskState::Running);
    let mut board = Board::new(Some(&stack(std::slice::from_ref(&old))));
    let mut new = task("web", 1, TaskState::Starting);
    new.task = TaskId(old.task.0 + 1);
    assert_eq!(update(&mut board, &[new]), ["web-1  starting"]);
    let words: Vec<_> = board.rows().iter().map(|row| row.word.clone()).collect();
    assert_eq!(words, ["starting"], "one row for one name");
}

#[test]
fn one_that_was_stopped_has_not_completed() {
    let mut board = Board::new(None);
    let mut web = task("web", 1, TaskState::Failed);
    web.wanted = false;
    assert_eq!(update(&mut board, &[web]), ["web-1  stopped"]);
}

#[test]
fn the_table_is_ordered_by_name_and_number() {
    let mut board = Board::new(None);
    let tasks: Vec<_> =
        [("web", 10), ("web", 9), ("db", 1)].map(|(s, n)| task(s, n, TaskState::Running)).into();
    update(&mut board, &tasks);
    let names: Vec<_> = board.rows().iter().map(|row| row.name.clone()).collect();
    assert_eq!(names, ["db-1", "web-9", "web-10"]);
}

#[test]
fn the_table_is_never_wider_or_higher_than_the_terminal() {
    let mut board = Board::new(None);
    let mut tasks: Vec<_> = (1..=30).map(|n| task("web", n, TaskState::Running)).collect();
    tasks[3].state = TaskState::Failed;
    tasks[3].reason = Some("a very long reason ".repeat(20));
    update(&mut board, &tasks);
    for (width, height) in [(80, 24), (30, 10), (20, 40)] {
        let lines = lines(&board, Style(false), width, height, '|');
        assert!(lines.len() < height, "{} lines in {height}", lines.len());
        for line in &lines {
            assert!(line.chars().count() <= width, "{line:?} in {width}");
        }
    }
    let lines = lines(&board, Style(false), 60, 10, '|');
    assert!(lines[0].starts_with(" ✘ web-4  failed: a very long reason"), "{lines:#?}");
    assert_eq!(lines[1], " 29 of 30 are ready");
}
