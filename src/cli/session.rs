//! Connects the user's terminal or pipes with a program in a container.

mod keys;

use std::future::poll_fn;
use std::io::Read as _;
use std::sync::Arc;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc};

use self::keys::Passed;
pub(super) use self::keys::{DETACH_KEYS, DetachKeys};
use super::context::exit_code;
use super::error::{CommandError, Outcome};
use super::terminal::{self, RawMode};
use crate::api::client::ClientSession;
use crate::api::control::{SessionInput, SessionOutput};

/// How much is read from standard input at once.
const CHUNK: usize = 32 << 10;

/// How the two are connected.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// Whether the program has a terminal, and so the user's must pass on every key.
    pub(super) tty: bool,
    /// Whether standard input goes to the program.
    pub(super) stdin: bool,
    /// Whether signals to this command go to the program.
    pub(super) signals: bool,
    /// Keys that end the connection and leave the program alone.
    pub(super) detach_keys: Option<DetachKeys>,
}

impl Default for Connection {
    fn default() -> Self {
        Self { tty: false, stdin: false, signals: true, detach_keys: None }
    }
}

/// Carries input, output, sizes and signals until the program has ended; its exit status. 0 if it was
/// left alone.
pub(super) async fn run(session: ClientSession, connection: Connection) -> Outcome<u8> {
    Ok(run_through(session, connection).await?.unwrap_or(0))
}

/// The same; `None` if the program was left alone.
pub(super) async fn run_through(
    session: ClientSession,
    connection: Connection,
) -> Outcome<Option<u8>> {
    let ClientSession { input, mut output } = session;
    // Before a word of the program is shown: whoever has read one may send a signal.
    let signals = Signals::listen(connection.signals)
        .map_err(|error| CommandError::io("cannot wait for signals", &error))?;
    let raw = connection.tty && terminal::input_is_terminal();
    let _raw_mode = if raw { RawMode::begin().ok() } else { None };
    let detached = Arc::new(Notify::new());
    if connection.stdin {
        let keys = connection.detach_keys.clone();
        send_input(input.clone(), Detach { keys, told: Arc::clone(&detached) });
    }
    tokio::spawn(signals.send(input, connection.tty));
    loop {
        let output = tokio::select! {
            biased;
            output = output.next() => output?,
            () = detached.notified() => return Ok(None),
        };
        match output {
            SessionOutput::Stdout(bytes) => write(&mut std::io::stdout(), &bytes)?,
            SessionOutput::Stderr(bytes) => write(&mut std::io::stderr(), &bytes)?,
            SessionOutput::Exited(code) => return Ok(Some(exit_code(code))),
        }
    }
}

/// What ends a connection from this side.
struct Detach {
    keys: Option<DetachKeys>,
    told: Arc<Notify>,
}

/// Sends standard input. On a thread that nobody waits for: a read of a terminal cannot be called
/// off.
fn send_input(input: mpsc::Sender<SessionInput>, detach: Detach) {
    std::thread::spawn(move || {
        let Detach { mut keys, told } = detach;
        let mut stdin = std::io::stdin().lock();
        let mut chunk = vec![0; CHUNK];
        loop {
            let message = match stdin.read(&mut chunk) {
                Ok(0) => SessionInput::CloseStdin,
                Ok(count) => match keys.as_mut().map(|keys| keys.pass(&chunk[..count])) {
                    None => SessionInput::Stdin(chunk[..count].to_vec()),
                    Some(Passed::On(bytes)) if bytes.is_empty() => continue,
                    Some(Passed::On(bytes)) => SessionInput::Stdin(bytes),
                    Some(Passed::Detached) => return told.notify_one(),
                },
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

/// The signals to this command that go to the program.
struct Signals {
    resized: Signal,
    others: Vec<(&'static str, Signal)>,
}

/// Those that docker's clients pass on and people send.
const PASSED_ON: [(&str, Kind); 6] = [
    ("SIGINT", SignalKind::interrupt),
    ("SIGTERM", SignalKind::terminate),
    ("SIGHUP", SignalKind::hangup),
    ("SIGQUIT", SignalKind::quit),
    ("SIGUSR1", SignalKind::user_defined1),
    ("SIGUSR2", SignalKind::user_defined2),
];

/// Makes the number of a signal.
type Kind = fn() -> SignalKind;

impl Signals {
    /// From now on they do not end this command. Without `pass_on` they keep their meaning for it.
    fn listen(pass_on: bool) -> std::io::Result<Self> {
        let resized = signal(SignalKind::window_change())?;
        let kinds = PASSED_ON.iter().filter(|_| pass_on);
        let others = kinds.map(|(name, kind)| Ok((*name, signal(kind())?)));
        Ok(Self { resized, others: others.collect::<std::io::Result<_>>()? })
    }

    /// Sends the terminal's size when it changes, and the signals. (A terminal in raw mode makes no
    /// signal of Ctrl-C: the key itself goes to the program.)
    async fn send(mut self, input: mpsc::Sender<SessionInput>, tty: bool) -> Option<()> {
        loop {
            let message = tokio::select! {
                _ = self.resized.recv(), if tty => match terminal::size(std::io::stdout()) {
                    Some(size) => SessionInput::Resize(size),
                    None => continue,
                },
                name = next(&mut self.others) => SessionInput::Signal(name.to_owned()),
            };
            input.send(message).await.ok()?;
        }
    }
}

/// The name of the next signal.
async fn next(signals: &mut [(&'static str, Signal)]) -> &'static str {
    poll_fn(|context| {
        for (name, signal) in signals.iter_mut() {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(*name);
            }
        }
        Poll::Pending
    })
    .await
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
