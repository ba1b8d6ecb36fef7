//! How long compose files take to read: `cargo bench --bench compose`.
//!
//! A large project with merges, small files one after the other, and a megabyte of whatever makes a
//! reader work. Nothing here judges: it prints; `docs/performance.md` says what is to be reached.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench that cannot go on panics, runs itself, and prints"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::time::TimeValLike as _;

use orca::compose::{FileArg, LoadOptions, load};

/// The size of a hostile input, in bytes.
const MEGABYTE: usize = 1 << 20;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--one") {
        return one(Path::new(&args[at + 1]));
    }
    let directory = tempfile::tempdir().unwrap();
    large(directory.path());
    small(directory.path());
    println!("\n{:<44} {:>10} {:>10}  outcome", "a megabyte of", "ms", "peak MB");
    for (name, text) in hostile() {
        hostile_one(directory.path(), name, &text);
    }
}

fn options(directory: &Path, names: &[&str]) -> LoadOptions {
    LoadOptions {
        files: names.iter().map(|name| FileArg::Path(PathBuf::from(name))).collect(),
        project_name: Some("bench".to_owned()),
        working_directory: directory.to_path_buf(),
        ..LoadOptions::default()
    }
}

/// 60 services with anchors, merge keys, a second file over all of them and a third over some.
fn large(directory: &Path) {
    let (mut base, mut over) = (BASE.to_owned(), "services:\n".to_owned());
    let mut third = over.clone();
    for n in 0..60 {
        let before = if n > 0 { format!("service{}", n - 1) } else { "db".to_owned() };
        write!(
            base,
            "  service{n}:\n    <<: *common\n    image: registry.test/team/service{n}:${{TAG:-latest}}\n    \
             ports: [\"{port}:80\", \"{other}:443/tcp\"]\n    environment:\n      <<: *variables\n      \
             NAME: service{n}\n    depends_on:\n      {before}: {{condition: service_healthy}}\n    \
             volumes: [\"data{n}:/data\", \"./config{n}:/etc/service:ro\"]\n    networks: [front, back]\n",
            port = 10_000 + n,
            other = 20_000 + n,
        )
        .unwrap();
        write!(
            over,
            "  service{n}:\n    environment: [LEVEL=debug, \"NAME=${{PREFIX:-x}}{n}\"]\n    \
             labels: {{over: \"{n}\"}}\n    ports: [\"127.0.0.1:{}:81\"]\n    \
             deploy: {{replicas: 2, resources: {{limits: {{memory: 256M}}}}}}\n",
            30_000 + n,
        )
        .unwrap();
        if n % 3 == 0 {
            write!(
                third,
                "  service{n}:\n    command: !override [run, --fast]\n    ports: !reset []\n"
            )
            .unwrap();
        }
    }
    base.push_str("volumes:\n");
    (0..60).for_each(|n| writeln!(base, "  data{n}:").unwrap());
    for (name, text) in [("base.yaml", &base), ("over.yaml", &over), ("third.yaml", &third)] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let options = options(directory, &["base.yaml", "over.yaml", "third.yaml"]);
    let before = processor_time();
    let median = median(200, || drop(load(&options).unwrap()));
    let each = (processor_time() - before) / 200;
    println!(
        "60 services, three files: {:.2} ms, of which {:.2} ms on the processor",
        milliseconds(median),
        milliseconds(each),
    );
}

const BASE: &str = "\
x-common: &common
  restart: unless-stopped
  logging: {driver: json-file, options: {max-size: 10m, max-file: \"3\"}}
  healthcheck: {test: [CMD, wget, -q, -O-, \"http://localhost/health\"], interval: 10s, retries: 3}
x-variables: &variables
  DATABASE_URL: postgres://user:${PASSWORD:-secret}@db/app
  LEVEL: info
networks: {front: {}, back: {internal: true}}
services:
  db:
    <<: *common
    image: postgres:17
    networks: [back]
";

/// The commonest kind of file, over and over.
fn small(directory: &Path) {
    let text = "services:\n  web:\n    image: nginx:1.27\n    restart: unless-stopped\n    ports: [\"8080:80\"]\n    \
                environment:\n      TZ: Europe/Berlin\n      MODE: ${MODE:-production}\n    volumes:\n      \
                - ./html:/usr/share/nginx/html:ro\n      - cache:/var/cache/nginx\n    healthcheck:\n      \
                test: [CMD, curl, -f, http://localhost]\n      interval: 30s\nvolumes:\n  cache:\n";
    std::fs::write(directory.join("small.yaml"), text).unwrap();
    let options = options(directory, &["small.yaml"]);
    let count = 5000;
    let before = processor_time();
    (0..count).for_each(|_| drop(load(&options).unwrap()));
    let rate = f64::from(count) / (processor_time() - before).as_secs_f64();
    println!("small files: {rate:.0} a second on one core");
}

/// Inputs that make readers of YAML slow or fat, each a megabyte.
fn hostile() -> Vec<(&'static str, String)> {
    let many = |line: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        for n in 0.. {
            let line = line(n);
            if text.len() + line.len() > MEGABYTE {
                return text;
            }
            text.push_str(&line);
        }
        text
    };
    let service = |rest: &str| format!("services:\n  a:\n    image: i\n{rest}");
    let mut bomb = "x0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let list = vec![format!("*a{}", n - 1); 9].join(", ");
        writeln!(bomb, "x-{n}: &a{n} [{list}]").unwrap();
    }
    let merges = many(&|n| format!("x-{n}: &m{n} {{<<: *m{}, k{n}: {n}}}\n", n.max(1) - 1));
    vec![
        ("alias bomb", bomb),
        ("merge keys, one on the other", merges.replacen("<<: *m0, ", "", 1)),
        ("services", format!("services:\n{}", many(&|n| format!("  s{n}: {{image: i}}\n")))),
        (
            "services that lack everything",
            format!("services:\n{}", many(&|n| format!("  s{n}: {{}}\n"))),
        ),
        (
            "services in a chain of dependencies",
            format!(
                "services:\n{}",
                many(&|n| format!("  s{n}: {{image: i, depends_on: [s{}]}}\n", n + 1))
            ),
        ),
        (
            "services that extend one another",
            format!(
                "services:\n{}",
                many(&|n| format!("  s{n}: {{image: i, extends: s{}}}\n", n + 1))
            ),
        ),
        ("unknown attributes", many(&|n| format!("key{n}: {n}\n"))),
        ("unknown attributes of a service", service(&many(&|n| format!("    key{n}: {n}\n")))),
        (
            "variables of a container",
            service(&format!("    environment:\n{}", many(&|n| format!("      K{n}: v\n")))),
        ),
        (
            "ports",
            service(&format!(
                "    ports:\n{}",
                many(&|n| format!("      - {}:{}\n", n % 60_000 + 1, n % 60_000 + 1))
            )),
        ),
        ("wrong ports", service(&format!("    ports:\n{}", many(&|n| format!("      - x{n}\n"))))),
        (
            "ranges of ports",
            service(&format!("    ports:\n{}", many(&|_| "      - 1-65535:1-65535\n".to_owned()))),
        ),
        (
            "variables that are not set",
            service(&format!("    labels:\n{}", many(&|n| format!("      l{n}: $V{n}\n")))),
        ),
        (
            "defaults inside defaults",
            service(&format!("    command: \"{}\"\n", "${A:-".repeat(MEGABYTE / 5))),
        ),
        ("one long word", service(&format!("    command: {}\n", "x".repeat(MEGABYTE)))),
        (
            "one long line of words",
            service(&format!("    command: {}\n", "x ".repeat(MEGABYTE / 2))),
        ),
        ("one long key", format!("{}: 1\n", "k".repeat(MEGABYTE))),
        ("open brackets", "[".repeat(MEGABYTE)),
        ("open braces", "{a: ".repeat(MEGABYTE / 4)),
        ("indentation", many(&|n| format!("{}a:\n", " ".repeat(n)))),
        ("documents", many(&|_| "---\nx-a: 1\n".to_owned())),
        ("the same key", many(&|_| "services: {}\n".to_owned())),
        ("comments", many(&|_| "# nothing\n".to_owned())),
        ("blanks", " \n".repeat(MEGABYTE / 2)),
        ("anchors", many(&|n| format!("x-{n}: &a{n} 1\n"))),
        ("a block of text", format!("x-a: |\n{}", many(&|_| "  text\n".to_owned()))),
    ]
}

/// In a process of its own, for its memory.
fn hostile_one(directory: &Path, name: &str, text: &str) {
    let path = directory.join("hostile.yaml");
    std::fs::write(&path, text).unwrap();
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).arg("--one").arg(&path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let mut words = said.splitn(3, ' ');
    let (time, memory) = (words.next().unwrap(), words.next().unwrap());
    println!("{name:<44} {time:>10} {memory:>10}  {}", words.next().unwrap_or_default().trim());
}

fn one(path: &Path) {
    let options = options(path.parent().unwrap(), &["hostile.yaml"]);
    let before = processor_time();
    let outcome = load(&options);
    let took = milliseconds(processor_time() - before);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let outcome = match outcome {
        Ok(_) => "loads".to_owned(),
        Err(errors) => {
            errors.0[0].headline().chars().skip(path.as_os_str().len()).take(60).collect()
        }
    };
    println!("{took:.1} {} {outcome}", peak / 1024);
}

fn median(count: usize, mut what: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..count)
        .map(|_| {
            let began = Instant::now();
            what();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[count / 2]
}

/// What this process has used of the processor: other programs on the machine do not count.
fn processor_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let time = usage.user_time() + usage.system_time();
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
