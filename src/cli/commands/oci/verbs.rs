//! What each verb does, and what it prints.

use std::io::Write;
use std::path::Path;

use super::args::{
    CgroupManager, CreateArgs, EventsArgs, ExecArgs, Format, Global, KillArgs, ListArgs,
    OciArguments, PsArgs, RunArgs, SpecArgs, Verb,
};
use super::log::Log;
use crate::runtime::oci::{self, CreateOptions, ExecOptions, OciError, Result, Store};

/// Does what is asked; the exit status.
pub(super) fn run(arguments: OciArguments, log: &Log) -> Result<u8> {
    let OciArguments { global, verb } = arguments;
    let root = std::path::absolute(&global.root)
        .map_err(|error| failed(format!("cannot find {}: {error}", global.root.display())))?;
    let store = Store::new(root);
    match verb {
        Verb::Create(args) => oci::create(&store, &args.id, &options(&args, &global), log)?,
        Verb::Run(args) => return start_at_once(&store, &args, &global, log),
        Verb::Start(args) => oci::start(&store, &args.id, log)?,
        Verb::State(args) => json(&oci::state(&store, &args.id)?, true)?,
        Verb::Kill(args) => kill(&store, &args)?,
        Verb::Delete(args) => oci::delete(&store, &args.id, args.force, log)?,
        Verb::Exec(args) => return exec(&store, *args, log),
        Verb::Ps(args) => ps(&store, &args)?,
        Verb::List(args) => list(&store, &args)?,
        Verb::Pause(args) => oci::pause(&store, &args.id)?,
        Verb::Resume(args) => oci::resume(&store, &args.id)?,
        Verb::Update(args) => oci::update(&store, &args.id, &args.limits()?)?,
        Verb::Events(args) => events(&store, &args)?,
        Verb::Features => json(&oci::features(), true)?,
        Verb::Spec(args) => spec(&args)?,
    }
    Ok(0)
}

fn failed(message: String) -> OciError {
    OciError { code: 1, message }
}

fn options(args: &CreateArgs, global: &Global) -> CreateOptions {
    CreateOptions {
        bundle: args.bundle.clone(),
        config: args.config.clone(),
        pid_file: args.pid_file.clone(),
        console_socket: args.console_socket.clone(),
        no_pivot: args.no_pivot,
        preserve_fds: args.preserve_fds,
        detach: false,
        keep: false,
        systemd_cgroup: global.systemd_cgroup || global.cgroup_manager == CgroupManager::Systemd,
    }
}

fn start_at_once(store: &Store, args: &RunArgs, global: &Global, log: &Log) -> Result<u8> {
    let options =
        CreateOptions { detach: args.detach, keep: args.keep, ..options(&args.create, global) };
    oci::run(store, &args.create.id, &options, log)
}

fn kill(store: &Store, args: &KillArgs) -> Result<()> {
    oci::kill(store, &args.id, oci::signal(&args.signal)?, args.all)
}

fn exec(store: &Store, args: ExecArgs, log: &Log) -> Result<u8> {
    let options = ExecOptions {
        process: args.process,
        args: args.command,
        tty: args.tty,
        cwd: args.cwd,
        env: args.env,
        user: args.user,
        additional_gids: args.additional_gids,
        cap: args.cap,
        apparmor: args.apparmor,
        process_label: args.process_label,
        no_new_privs: args.no_new_privs,
        cgroup: args.cgroup,
        ignore_paused: args.ignore_paused,
        detach: args.detach,
        pid_file: args.pid_file,
        console_socket: args.console_socket,
        preserve_fds: args.preserve_fds,
    };
    oci::exec(store, &args.id, &options, log)
}

fn ps(store: &Store, args: &PsArgs) -> Result<()> {
    let processes = oci::processes(store, &args.id)?;
    if args.format == Format::Json {
        let pids = processes.iter().map(|process| process.pid).collect::<Vec<_>>();
        return json(&pids, false);
    }
    let head = ["UID", "PID", "PPID", "TIME", "CMD"].map(str::to_owned);
    let rows = processes.into_iter().map(|process| {
        let seconds = process.seconds;
        let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let [uid, pid, parent] = [process.uid, process.pid, process.parent].map(|n| n.to_string());
        [uid, pid, parent, time, process.command]
    });
    table(head, rows.collect())
}

fn list(store: &Store, args: &ListArgs) -> Result<()> {
    let all = oci::list(store)?;
    if args.quiet {
        let ids = all.iter().map(|one| one.cells()[0].clone() + "\n").collect::<String>();
        return print(&ids);
    }
    match args.format {
        Format::Json => json(&all, false),
        Format::Table => {
            let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
            table(head, all.iter().map(oci::Listed::cells).collect())
        }
    }
}

fn events(store: &Store, args: &EventsArgs) -> Result<()> {
    if args.stats {
        return json(&oci::stats(store, &args.id)?, false);
    }
    oci::events(store, &args.id, args.interval, |event| json(event, false).is_ok())
}

fn spec(args: &SpecArgs) -> Result<()> {
    let dir = args.bundle.as_deref().unwrap_or(Path::new("."));
    let path = dir.join("config.json");
    let rootless = args
        .rootless
        .then(|| (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
    let text = serde_json::to_string_pretty(&oci::template(rootless))
        .map_err(|error| failed(error.to_string()))?;
    // What is there may be somebody's work.
    std::fs::File::create_new(&path)
        .and_then(|mut file| writeln!(file, "{text}"))
        .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))
}

fn json(value: &impl serde::Serialize, pretty: bool) -> Result<()> {
    let text =
        if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    print(&(text.map_err(|error| failed(error.to_string()))? + "\n"))
}

fn table<const N: usize>(head: [String; N], rows: Vec<[String; N]>) -> Result<()> {
    let rows = [head].into_iter().chain(rows).collect::<Vec<_>>();
    let mut text = String::new();
    for row in &rows {
        for (at, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
            let padding = if at + 1 == N { 0 } else { width + 2 - cell.len() };
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padding));
        }
        text.push('\n');
    }
    print(&text)
}

fn print(text: &str) -> Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| failed(format!("cannot write to standard output: {error}")))
}
