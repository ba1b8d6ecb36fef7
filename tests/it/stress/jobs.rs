//! Jobs that say known lines and end with known statuses, a stack of them at a time.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::support::eventually;
use super::Stress;

/// So many jobs are in a round.
pub(super) const IN_ROUND: usize = 5;

/// A stack of jobs.
pub(super) struct Round<'a> {
    stress: &'a Stress,
    name: String,
    file: String,
    jobs: Vec<Job>,
}

/// One job: a service that runs once.
struct Job {
    number: usize,
    /// Ends when it is stopped, and not before.
    waits: bool,
}

impl Job {
    fn new(number: usize) -> Self {
        Self { number, waits: number % 3 == 2 }
    }

    fn service(&self) -> String {
        format!("j{}", self.number)
    }

    /// Never one that orca itself gives.
    fn code(&self) -> i64 {
        i64::try_from(10 + self.number % 90).unwrap()
    }

    /// What it prints, in the order of the alphabet.
    fn lines(&self) -> Vec<String> {
        let words = if self.waits { ["err", "one", "told"] } else { ["err", "one", "two"] };
        words.iter().map(|word| format!("job {} {word}", self.number)).collect()
    }

    fn yaml(&self) -> String {
        let (n, code) = (self.number, self.code());
        let script = if self.waits {
            format!(
                "trap 'echo job {n} told; exit {code}' TERM; echo job {n} one; echo job {n} err >&2; \
                 while :; do sleep 0.05; done"
            )
        } else {
            let pause = n % 4;
            format!(
                "echo job {n} one; echo job {n} err >&2; sleep 0.{pause}; echo job {n} two; \
                 exit {code}"
            )
        };
        let more = match n % 5 {
            1 => "    userns_mode: host\n",
            2 => "    network_mode: none\n",
            3 => "    volumes: ['data:/data', '/scratch']\n    tmpfs: /t\n",
            4 => "    network_mode: host\n",
            _ => "",
        };
        format!(
            "  {}:\n    image: busybox\n    restart: 'no'\n    stop_grace_period: 30s\n{more}    \
             command: [sh, -c, \"{script}\"]\n",
            self.service()
        )
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(stress: &'a Stress, name: &str, numbers: Range<usize>) -> Self {
        let jobs: Vec<Job> = numbers.map(Job::new).collect();
        let mut yaml = format!("name: {name}\nvolumes: {{data: }}\nservices:\n");
        for job in &jobs {
            write!(yaml, "{}", job.yaml()).unwrap();
        }
        let file = format!("{name}.yaml");
        stress.orca.write(&file, &yaml);
        Self { stress, name: name.to_owned(), file, jobs }
    }

    /// From `up` to `down`.
    pub(super) fn run(&self) {
        self.up();
        for job in self.jobs.iter().filter(|job| !job.waits) {
            self.check(job);
        }
        self.stop();
        for job in self.jobs.iter().filter(|job| job.waits) {
            self.check(job);
        }
        self.down();
    }

    /// Asks for the stack exactly once: what failed is tried again by a further `up`.
    fn up(&self) {
        eventually("the stack is accepted", || {
            self.stress.begins();
            let ran = self.stress.orca.run(&["up", "-d", "-f", &self.file]);
            if !super::lost_daemon(&ran) {
                ran.expect(0);
                return Some(());
            }
            self.is_known().then_some(())
        });
    }

    fn is_known(&self) -> bool {
        let known = self.stress.insist(&["ls", "--all", "--format", "json"]).expect(0).stdout;
        known.contains(&format!("\"{}\"", self.name))
    }

    /// Those that wait have begun when this is asked for, or they would never run.
    fn stop(&self) {
        for job in self.jobs.iter().filter(|job| job.waits) {
            eventually("it waits to be told", || (self.log(job).len() >= 2).then_some(()));
        }
        let waiting: Vec<String> =
            self.jobs.iter().filter(|job| job.waits).map(Job::service).collect();
        let mut args = vec!["stop", "-f", &self.file];
        args.extend(waiting.iter().map(String::as_str));
        self.stress.begins();
        self.stress.insist(&args).expect(0);
    }

    /// It has ended with its own status, and has said its lines once.
    fn check(&self, job: &Job) {
        let seen = eventually(&format!("{} of {} has ended", job.service(), self.name), || {
            let text = self.stress.insist(&["ps", "-a", "-f", &self.file, "--format", "json"]);
            let text = text.expect(0).stdout;
            let all = text.lines().map(|line| serde_json::from_str(line).expect(line));
            let mut found =
                all.filter(|seen: &serde_json::Value| seen["Service"] == *job.service());
            found.next().filter(|seen| seen["State"] == "exited")
        });
        assert_eq!(seen["ExitCode"], job.code(), "{} of {}: {seen:#}", job.service(), self.name);
        assert_eq!(seen["Restarts"], 0, "{} of {}: {seen:#}", job.service(), self.name);
        assert_eq!(self.log(job), job.lines(), "{} of {}", job.service(), self.name);
    }

    /// The lines of a job; the two streams may come in any order.
    fn log(&self, job: &Job) -> Vec<String> {
        let service = job.service();
        let args = ["-f", &self.file, "logs", "--no-log-prefix", &service];
        let said = self.stress.insist(&args).expect(0).stdout;
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    fn down(&self) {
        eventually("the stack is gone", || {
            self.stress.begins();
            let ran = self.stress.orca.run(&["down", "-v", "-f", &self.file]);
            // An earlier `down` may have been heard by a daemon that was killed before it answered.
            if !super::lost_daemon(&ran) && !ran.stderr.contains("there is no stack") {
                ran.expect(0);
            }
            (!self.is_known()).then_some(())
        });
    }
}
