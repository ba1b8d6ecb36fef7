//! Starts, stops and programs inside containers, while the daemon is killed again and again: nothing is
//! run twice, no exit status and no line of a log is lost, and nothing stays behind.
//!
//! The moments are random; the seed is printed, and `ORCA_STRESS_SEED` sets it. `ORCA_STRESS=1` runs the
//! whole of it: 200 starts, 200 programs inside, 50 kills.

mod jobs;
mod programs;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use self::jobs::Round;
use super::support::remains::Remains;
use super::support::{Orca, Ran, eventually, leaks};

/// How much of each there is at least.
struct Amounts {
    starts: usize,
    execs: usize,
    kills: usize,
}

/// What the threads of the test share.
struct Stress {
    orca: Orca,
    amounts: Amounts,
    /// What has been done so far.
    starts: AtomicUsize,
    execs: AtomicUsize,
    kills: AtomicUsize,
    /// Counts up when something begins that is worth being interrupted.
    begun: AtomicUsize,
    /// Set when one thread has failed, so that the others end.
    failed: AtomicBool,
    random: Mutex<Random>,
}

#[test]
fn a_daemon_killed_under_load_loses_and_leaves_nothing() {
    let stress = Stress::new();
    stress.orca.write("keeper.yaml", KEEPER);
    stress.orca.ok(&["up", "-f", "keeper.yaml"]);
    // Once without kills: whatever is made at the first time only is there.
    Round::new(&stress, "warm", 0..4).run();
    stress.exec_once(0);
    let before = Remains::settled(&stress.orca);

    std::thread::scope(|scope| {
        scope.spawn(|| stress.guard(Stress::kill_daemons));
        scope.spawn(|| stress.guard(Stress::run_programs));
        scope.spawn(|| stress.guard(Stress::run_programs));
        scope.spawn(|| stress.guard(|stress| stress.run_jobs(0)));
        scope.spawn(|| stress.guard(|stress| stress.run_jobs(1)));
    });

    let after = before.come_back(&stress.orca);
    programs::check_talker(&stress.orca);
    // The daemon was made anew meanwhile, so its descriptors are compared over a further round.
    let daemon = after.daemon();
    Round::new(&stress, "after", 0..4).run();
    stress.exec_once(1);
    eventually("the daemon has no more open than before", || {
        (Remains::settled(&stress.orca).daemon() == daemon).then_some(())
    });
    eprintln!("{}", stress.said());
}

/// What is there all the time: somewhere to run programs in, and somebody who never stops talking.
const KEEPER: &str = "name: keeper
services:
  box:
    image: busybox
    command: sleep 100000
    stop_grace_period: 0s
  talker:
    image: busybox
    command: sh -c 'i=0; while :; do i=$$((i+1)); echo line $$i; sleep 0.02; done'
    stop_grace_period: 0s
";

impl Stress {
    fn new() -> Self {
        let whole = std::env::var_os("ORCA_STRESS").is_some_and(|value| value != "0");
        let amounts = if whole {
            Amounts { starts: 200, execs: 200, kills: 50 }
        } else {
            Amounts { starts: 40, execs: 40, kills: 12 }
        };
        let random = Random::new();
        Self {
            orca: Orca::new().with_busybox(),
            amounts,
            starts: AtomicUsize::new(0),
            execs: AtomicUsize::new(0),
            kills: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            random: Mutex::new(random),
        }
    }

    /// Lets the other threads end when this one fails.
    fn guard(&self, work: impl FnOnce(&Self)) {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self)));
        if let Err(panic) = done {
            self.failed.store(true, Ordering::Relaxed);
            std::panic::resume_unwind(panic);
        }
    }

    /// Whether there is still something to do.
    fn goes_on(&self) -> bool {
        let left = |done: &AtomicUsize, amount| done.load(Ordering::Relaxed) < amount;
        !self.failed.load(Ordering::Relaxed)
            && (left(&self.starts, self.amounts.starts)
                || left(&self.execs, self.amounts.execs)
                || left(&self.kills, self.amounts.kills))
    }

    fn said(&self) -> String {
        let count = |done: &AtomicUsize| done.load(Ordering::Relaxed);
        let (starts, execs, kills) = (count(&self.starts), count(&self.execs), count(&self.kills));
        format!("{starts} starts, {execs} programs inside, {kills} kills of the daemon")
    }

    /// Rounds of jobs, one after the other.
    fn run_jobs(&self, lane: usize) {
        for number in 0.. {
            if !self.goes_on() {
                return;
            }
            let first = number * jobs::IN_ROUND;
            let name = format!("jobs{lane}x{number}");
            Round::new(self, &name, first..first + jobs::IN_ROUND).run();
            self.starts.fetch_add(jobs::IN_ROUND, Ordering::Relaxed);
        }
    }

    /// Kills the daemon at random moments, half of them soon after something has begun.
    fn kill_daemons(&self) {
        let find = || {
            let all = leaks::processes_of(self.orca.files().parent().unwrap());
            all.into_iter().find(|(_, line)| line.contains(" daemon ")).map(|(pid, _)| pid)
        };
        while self.goes_on() && self.kills.load(Ordering::Relaxed) < self.amounts.kills {
            if self.below(2) == 0 {
                let begun = self.begun.load(Ordering::Relaxed);
                for _ in 0..200 {
                    if self.begun.load(Ordering::Relaxed) != begun {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.rest(400);
            } else {
                self.rest(1500);
            }
            let Some(pid) = find() else { continue };
            // It may have ended at this moment, for a command that has begun another.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            self.kills.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs the program until it does not say that its daemon is gone.
    fn insist(&self, args: &[&str]) -> Ran {
        eventually("the daemon lives long enough", || {
            let ran = self.orca.run(args);
            (!lost_daemon(&ran)).then_some(ran)
        })
    }

    /// Tells that something begins that is worth being interrupted.
    fn begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A random number below `limit`.
    fn below(&self, limit: u64) -> u64 {
        self.random.lock().unwrap().next() % limit
    }

    /// Waits for less than so many milliseconds.
    fn rest(&self, limit: u64) {
        std::thread::sleep(Duration::from_millis(self.below(limit)));
    }
}

/// Whether a command ended because there was no daemon, or none any more.
fn lost_daemon(ran: &Ran) -> bool {
    ran.code == Some(3)
}

/// Numbers that look random: SplitMix64.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let set = std::env::var("ORCA_STRESS_SEED").ok();
        let seed = set.map_or_else(
            || {
                let now = std::time::SystemTime::now();
                let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
                u64::from(since.subsec_nanos())
            },
            |set| set.parse().expect("ORCA_STRESS_SEED is a number"),
        );
        eprintln!("ORCA_STRESS_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
