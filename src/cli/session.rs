//! Connects the user's terminal or pipes with a program in a container.

use std::io::Read as _;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::context::exit_code;
use super::error::{CommandError, Outcome};
use super::terminal::{self, RawMode};
use crate::api::client::ClientSession;
use crate::api::control::{SessionInput, SessionOutput};

/// How much is read from standard input at once.
const CHUNK: usize = 32 << 10;

/// How the two are connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    /// Whether the program has a terminal, and so the user's must pass on every key.
    pub(super) tty: bool,
    /// Whether standard input goes to the program.
    pub(super) stdin: bool,
}

/// Carries input, output, sizes and signals until the program has ended; its exit status.
pub(super) async fn run(session: ClientSession, connection: Connection) -> Outcome<u8> {
    let ClientSession { input, mut output } = session;
    let raw = connection.tty && terminal::input_is_terminal();
    let _raw_mode = if raw { RawMode::begin().ok() } else { None };
    if connection.stdin {
        send_input(input.clone());
    }
    tokio::spawn(send_signals(input, connection.tty));
    loop {
        match output.next().await? {
            SessionOutput::Stdout(bytes) => write(&mut std::io::stdout(), &bytes)?,
            SessionOutput::Stderr(bytes) => write(&mut std::io::stderr(), &bytes)?,
            SessionOutput::Exited(code) => return Ok(exit_code(code)),
        }
    }
}

/// Sends standard input. On a thread that nobody waits for: a read of a terminal cannot be called
/// off.
fn send_input(input: mpsc::Sender<SessionInput>) {
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut chunk = vec![0; CHUNK];
        loop {
            let message = match stdin.read(&mut chunk) {
                Ok(0) => SessionInput::CloseStdin,
                Ok(count) => SessionInput::Stdin(chunk[..count].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => SessionInput::CloseStdin,
            };
            let last = message == SessionInput::CloseStdin;
            if input.blocking_send(message).is_err() || last {
                return;
            }
        }
    });
}

/// Sends the terminal's size when it changes, and the signals that the user sends to this program.
/// (A terminal in raw mode makes no signal of Ctrl-C: the key itself goes to the program.)
async fn send_signals(input: mpsc::Sender<SessionInput>, tty: bool) -> Option<()> {
    let mut resized = signal(SignalKind::window_change()).ok()?;
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    loop {
        let message = tokio::select! {
            _ = resized.recv(), if tty => match terminal::size(std::io::stdout()) {
                Some(size) => SessionInput::Resize(size),
                None => continue,
            },
            _ = interrupt.recv() => SessionInput::Signal("SIGINT".to_owned()),
            _ = terminate.recv() => SessionInput::Signal("SIGTERM".to_owned()),
        };
        input.send(message).await.ok()?;
    }
}

fn write(to: &mut impl std::io::Write, bytes: &[u8]) -> Outcome {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Ok(()) => Ok(()),
        // Nobody listens any more: leaving hangs the program up.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::silent(0))
        }
        Err(error) => Err(CommandError::io("cannot write the program's output", &error)),
    }
}
