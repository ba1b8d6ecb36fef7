//! Many starts, many programs run inside, and a daemon that is killed again and again meanwhile: no
//! exit status, no line of a log and nothing in the kernel gets lost.
//!
//! `ORCA_STRESS=1` makes it the size that releases are tried with: 200 starts, 200 programs, 50 kills.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::{Orca, PATIENCE, eventually};

/// The size of the test.
struct Size {
    rounds: u32,
    execs: u32,
    kills: u32,
}

/// How many containers start in each round.
const JOBS: u32 = 10;
/// How many lines the one that talks all the time says.
const LINES: u32 = 20_000;

impl Size {
    fn asked() -> Self {
        match std::env::var_os("ORCA_STRESS") {
            Some(_) => Self { rounds: 20, execs: 200, kills: 50 },
            None => Self { rounds: 3, execs: 30, kills: 6 },
        }
    }
}

fn stack(round: u32) -> String {
    let service = |name: &str, script: &str| {
        format!(
            "  {name}:\n    image: busybox\n    restart: 'no'\n    stop_grace_period: 0s\n    \
             command: sh -c '{script}'\n"
        )
    };
    let count = format!("while [ $$i -lt {LINES} ]; do i=$$((i+1)); echo line $$i; done");
    let talker = service("talker", &format!("i=0; {count}; exec sleep 1000"));
    let job = |job| {
        let script = format!("echo round {round}; sleep 0.{job}; exit {}", 40 + job);
        service(&format!("job{job}"), &script)
    };
    let jobs: String = (0..JOBS).map(job).collect();
    format!("name: stress\nservices:\n{talker}{jobs}")
}

#[test]
fn nothing_is_lost_under_load_and_a_killed_daemon() {
    let size = Size::asked();
    let orca = Orca::new().with_busybox();
    orca.write("stack.yaml", &stack(0));
    // Its jobs fail, as they are meant to.
    orca.ok(&["up", "-d", "-f", "stack.yaml"]);
    let before = daemons_files(&orca);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let starts =
            scope.spawn(|| (1..=size.rounds).for_each(|round| round_of_jobs(&orca, round)));
        let execs = scope.spawn(|| (0..size.execs).for_each(|number| one_exec(&orca, number)));
        let kills = scope.spawn(|| kill_daemons(&orca, size.kills, &over));
        let ended = [starts.join(), execs.join()];
        over.store(true, Ordering::Relaxed);
        let killed = kills.join().unwrap();
        for end in ended {
            end.unwrap();
        }
        assert!(killed > 0, "the load was over before a daemon was killed");
    });
    let log = retried(&orca, &["-p", "stress", "logs", "--no-log-prefix", "talker"]);
    let numbers = log.lines().filter_map(|line| line.strip_prefix("line ")?.parse::<u32>().ok());
    let numbers: Vec<u32> = numbers.collect();
    assert_eq!(numbers.len(), usize::try_from(LINES).unwrap(), "each line is there once");
    assert!(numbers.iter().zip(1..).all(|(found, expected)| *found == expected), "in their order");
    no_zombies(&orca);
    eventually("the daemon has closed what it opened", || {
        (daemons_files(&orca) <= before + 20).then_some(())
    });
    orca.ok(&["-p", "stress", "down"]);
}

/// Starts all jobs anew and waits for their ends: the status and the words of each are its own.
fn round_of_jobs(orca: &Orca, round: u32) {
    orca.write("stack.yaml", &stack(round));
    let began = Instant::now();
    while orca.run(&["up", "-d", "-f", "stack.yaml"]).code != Some(0) {
        assert!(began.elapsed() < PATIENCE, "round {round} was not accepted");
    }
    for job in 0..JOBS {
        let name = format!("stress-job{job}-1");
        let said = format!("round {round}\n");
        eventually(&format!("{name} of round {round} has ended"), || {
            let ps = orca.run(&["ps", "-a", "-f", "stack.yaml", "--format", "json"]);
            let rows = ps.stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
            let mut rows = rows.filter(|row: &serde_json::Value| row["Name"] == name);
            let row = rows.find(|row| row["State"] == "exited")?;
            // One of the round before is replaced in a moment: its words tell.
            let log = orca.run(&["-p", "stress", "logs", "--no-log-prefix", &format!("job{job}")]);
            if log.code != Some(0) || log.stdout != said {
                return None;
            }
            assert_eq!(row["ExitCode"], 40 + job, "{row:#?}");
            Some(())
        });
    }
}

/// A program inside: its own status comes back, or the word that the daemon went away.
fn one_exec(orca: &Orca, number: u32) {
    let code = 40 + i32::try_from(number % 50).unwrap();
    let began = Instant::now();
    loop {
        let script = format!("echo {number}; exit {code}");
        let ran = orca.run(&["-p", "stress", "exec", "-T", "talker", "sh", "-c", &script]);
        match ran.code {
            Some(found) if found == code => {
                assert_eq!(ran.stdout, format!("{number}\n"));
                return;
            }
            // 1: the conversation broke off. 3: there was nobody to ask.
            Some(1 | 3) => assert!(began.elapsed() < PATIENCE, "{ran:?}"),
            _ => panic!("a status of nobody: {ran:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills the daemon again and again; returns how often.
fn kill_daemons(orca: &Orca, most: u32, over: &AtomicBool) -> u32 {
    let mut killed = 0;
    while killed < most && !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(u64::from(killed % 7) * 60 + 80));
        let daemon = orca.processes().into_iter().find(|(_, line)| line.contains(" daemon "));
        if let Some((pid, _)) = daemon
            && nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).is_ok()
        {
            killed += 1;
        }
        // `ps` brings a new one.
        drop(orca.run(&["ps", "-f", "stack.yaml"]));
    }
    killed
}

/// What a command prints, once there is a daemon to answer it.
fn retried(orca: &Orca, args: &[&str]) -> String {
    eventually("a daemon answers", || {
        let ran = orca.run(args);
        (ran.code == Some(0)).then_some(ran.stdout)
    })
}

fn daemons_files(orca: &Orca) -> usize {
    let directory = format!("/proc/{}/fd", orca.daemon());
    std::fs::read_dir(Path::new(&directory)).map_or(0, Iterator::count)
}

/// Every process of the instance that has ended has been waited for.
fn no_zombies(orca: &Orca) {
    let own: Vec<i32> = orca.processes().into_iter().map(|(pid, _)| pid).collect();
    eventually("no zombies", || {
        let zombies = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let (_, rest) = stat.rsplit_once(')')?;
            let mut fields = rest.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?.parse::<i32>().ok()?);
            (state == "Z" && own.contains(&parent)).then_some(())
        });
        (zombies.count() == 0).then_some(())
    });
}
