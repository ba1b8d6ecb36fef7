//! The figures of `docs/performance.md`: `cargo bench --bench speed`, as root.
//!
//! Everything is measured from outside, on the real program, with the built-in image. Nothing here
//! judges: it prints medians.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench that cannot go on panics, runs the programs it measures, and prints"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    assert!(nix::unistd::geteuid().is_root(), "containers need root");
    let bench = Bench::new();
    println!("{:<44} {:>10} {:>10} {:>10}", "what", "min", "median", "max");
    bench.stacks();
    bench.exec();
    bench.restart();
    bench.memory();
}

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("orca-bench-").tempdir().unwrap() }
    }

    fn orca(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orca"));
        command
            .args(args)
            .env("ORCA_ROOT", self.directory.path().join("root"))
            .env("ORCA_RUN", self.directory.path().join("run"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.orca(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "orca {}: {said}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    fn time(&self, args: &[&str]) -> Duration {
        let began = Instant::now();
        self.run(args);
        began.elapsed()
    }

    fn stack(&self, services: usize) -> PathBuf {
        let mut text = format!("name: bench{services}\nservices:\n");
        for i in 0..services {
            writeln!(text, "  s{i}:\n    image: orca/builtin\n    command: demo sleep").unwrap();
        }
        let path = self.directory.path().join(format!("bench{services}.yaml"));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `up`, `up` again, `ps` and `down` of 1, 10 and 100 services.
    fn stacks(&self) {
        self.run(&["up", "-f", self.stack(1).to_str().unwrap()]);
        self.run(&["down", "-f", self.stack(1).to_str().unwrap()]);
        for (services, rounds) in [(1, 20), (10, 10), (100, 5)] {
            let file = self.stack(services);
            let file = file.to_str().unwrap();
            let mut times = [vec![], vec![], vec![], vec![]];
            for _ in 0..rounds {
                times[0].push(self.time(&["up", "-f", file]));
                times[1].push(self.time(&["up", "-f", file]));
                times[2].push(self.time(&["ps", "-f", file]));
                times[3].push(self.time(&["down", "-f", file]));
            }
            let verbs = ["up", "up, unchanged", "ps", "down"];
            for (verb, times) in verbs.iter().zip(times) {
                show(&format!("{verb}, {services} services"), times);
            }
        }
    }

    fn exec(&self) {
        let file = self.stack(1);
        let file = file.to_str().unwrap();
        self.run(&["up", "-f", file]);
        let args = ["exec", "-T", "-f", file, "s0", "/bin/orca", "demo", "exit", "0"];
        show("exec", (0..20).map(|_| self.time(&args)).collect());
        self.run(&["down", "-f", file]);
    }

    /// From SIGKILL of a container that has run for a while to its next process.
    fn restart(&self) {
        let file = self.stack(1);
        let file = file.to_str().unwrap();
        self.run(&["up", "-f", file]);
        let mut times = vec![];
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(10_500));
            let before = self.pid(file).expect("it runs");
            let began = Instant::now();
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(before),
                nix::sys::signal::Signal::SIGKILL,
            );
            // The new process is found in /proc: asking the daemon would cost what is measured.
            while next_process(before).is_none() {
                std::thread::yield_now();
            }
            times.push(began.elapsed());
        }
        show("SIGKILL of a stable container to its next process", times);
        self.run(&["down", "-f", file]);
    }

    fn pid(&self, file: &str) -> Option<i32> {
        let text = self.run(&["ps", "-f", file, "--format", "json"]);
        let value: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
        i32::try_from(value["Pid"].as_i64()?).ok()
    }

    /// Memory of orca's own processes with a hundred containers.
    fn memory(&self) {
        let file = self.stack(100);
        let file = file.to_str().unwrap();
        self.run(&["up", "-f", file]);
        std::thread::sleep(Duration::from_secs(2));
        let own = self.directory.path().to_str().unwrap();
        let mut by_kind: std::collections::BTreeMap<&str, Vec<u64>> = Default::default();
        for (pid, line) in processes() {
            let kind = match () {
                () if !line.contains(own) => continue,
                () if line.contains(" daemon ") => "daemon",
                () if line.contains(" netd ") => "netd",
                () if line.contains(" launcher ") => "launcher",
                () => "shim",
            };
            by_kind.entry(kind).or_default().extend(pss(pid));
        }
        for (kind, mut sizes) in by_kind {
            sizes.sort_unstable();
            let (count, median) = (sizes.len(), sizes[sizes.len() / 2]);
            println!("{:<44} {median:>7} KiB each", format!("memory (PSS), {count} × {kind}"));
        }
        self.run(&["down", "-f", file]);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.orca(&["system", "stop", "--containers"]).status());
    }
}

/// The first process of a container that is not `before`, found by its command line.
fn next_process(before: i32) -> Option<i32> {
    processes()
        .into_iter()
        .find(|(pid, line)| *pid != before && line.starts_with("/bin/orca demo sleep"))
        .map(|(pid, _)| pid)
}

fn processes() -> Vec<(i32, String)> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
    }
    found
}

fn pss(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let (first, last) = (times[0], times[times.len() - 1]);
    println!("{what:<44} {:>10} {:>10} {:>10}", ms(first), ms(times[times.len() / 2]), ms(last));
}
