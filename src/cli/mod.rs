//! The command line: one file per command. The only room that prints.

/// Runs the program; its status is the process's.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
