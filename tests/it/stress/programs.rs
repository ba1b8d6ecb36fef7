//! Programs inside a container that runs all the time.

use std::sync::atomic::Ordering;

use super::super::support::Orca;
use super::Stress;

impl Stress {
    /// Programs inside, one after the other.
    pub(super) fn run_programs(&self) {
        while self.goes_on() {
            let number = self.execs.fetch_add(1, Ordering::Relaxed);
            while self.goes_on() && !self.exec_once(number) {}
        }
    }

    /// Runs a program inside: its output and status are its own, or it is told that the daemon was lost.
    /// Whether it got to its end.
    pub(super) fn exec_once(&self, number: usize) -> bool {
        let code = i32::try_from(10 + number % 90).unwrap();
        let script = format!(
            "echo out {number}; echo err {number} >&2; sleep 0.0{}; exit {code}",
            number % 10
        );
        self.begins();
        let args = ["exec", "-T", "-f", "keeper.yaml", "box", "sh", "-c", &script];
        let ran = self.orca.run(&args);
        if super::lost_daemon(&ran) {
            return false;
        }
        let ran = ran.expect(code);
        assert_eq!(ran.stdout, format!("out {number}\n"));
        assert!(ran.stderr.ends_with(&format!("err {number}\n")), "{}", ran.stderr);
        true
    }
}

/// Who talked all the time lost no line, and was never begun again.
pub(super) fn check_talker(orca: &Orca) {
    let log = orca.ok(&["-f", "keeper.yaml", "logs", "--no-log-prefix", "talker"]);
    let mut expected = 0;
    for line in log.lines() {
        expected += 1;
        assert_eq!(line, format!("line {expected}"));
    }
    assert!(expected > 100, "{expected} lines");
}
