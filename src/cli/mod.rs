//! The command line: one file per command. The only room that prints.

/// Runs the program; its status is the process's.
pub fn main() -> std::process::ExitCode {
    let args = std::env::args_os().skip(1).collect::<Vec<_>>();
    match args.as_slice() {
        // Before anything else looks at the arguments: the launcher must stay small.
        [verb, _, root, _, run] if verb == "launcher" => {
            let (root, run) = (root.into(), run.into());
            crate::runtime::launcher::main(&crate::model::Instance { root, run })
        }
        _ => std::process::ExitCode::SUCCESS,
    }
}
