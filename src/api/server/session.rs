//! Carries a conversation between a caller and a program.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::api::control::{Attach, ControlError, Exec, Run, Session, SessionInput, SessionOutput};
use crate::api::convert::{BadMessage, status_of, target_of};
use crate::api::message::Target;
use crate::api::proto;
use crate::api::proto::session_reply::Reply;
use crate::api::proto::session_request::Request;

/// How many messages wait for a slow caller before the program has to wait.
const SESSION_BUFFER: usize = 64;

/// How a conversation begins.
pub(super) enum Start {
    /// By running a program.
    Exec(Target, Exec),
    /// By connecting to one.
    Attach(Target, Attach),
    /// By running one in a container of its own.
    Run(Box<proto::ApplyRequest>, Run),
}

/// Reads the first message.
pub(super) async fn start(
    requests: &mut Streaming<proto::SessionRequest>,
) -> Result<Start, Status> {
    let first = requests.message().await?.and_then(|message| message.request);
    match first {
        Some(Request::Exec(mut exec)) => {
            Ok(Start::Exec(target_of(exec.target.take())?, exec.try_into()?))
        }
        Some(Request::Attach(mut attach)) => {
            Ok(Start::Attach(target_of(attach.target.take())?, attach.try_into()?))
        }
        Some(Request::Run(mut run)) => {
            let stack = run.stack.take().ok_or(BadMessage::missing("run.stack"))?;
            Ok(Start::Run(Box::new(stack), run.try_into()?))
        }
        _ => Err(wrong_start()),
    }
}

/// The first message was another one.
pub(super) fn wrong_start() -> Status {
    status_of(&ControlError::invalid_input("the first message must start the session"))
}

/// Carries messages both ways until the program has ended or the caller has gone.
pub(super) fn carry(
    requests: Streaming<proto::SessionRequest>,
    session: Session,
) -> mpsc::Receiver<Result<proto::SessionReply, Status>> {
    let (replies, received) = mpsc::channel(SESSION_BUFFER);
    let Session { tty, input, output } = session;
    tokio::spawn(async move {
        // Whichever ends first ends both: the program's end is the end of the conversation, and so
        // is the caller's going. Dropping `input` tells the daemon.
        tokio::select! {
            () = carry_output(tty, output, &replies) => {}
            () = carry_input(requests, input) => {}
            () = replies.closed() => {}
        }
    });
    received
}

/// From the program to the caller; returns when the program has ended.
async fn carry_output(
    tty: bool,
    mut output: mpsc::Receiver<SessionOutput>,
    replies: &mpsc::Sender<Result<proto::SessionReply, Status>>,
) {
    let started = proto::SessionReply { reply: Some(Reply::Started(proto::Started { tty })) };
    if replies.send(Ok(started)).await.is_err() {
        return;
    }
    while let Some(output) = output.recv().await {
        let last = matches!(output, SessionOutput::Exited(_));
        if replies.send(Ok(output.into())).await.is_err() || last {
            return;
        }
    }
    let lost = ControlError::internal("lost sight of the program before it ended");
    // The caller may be gone as well.
    let _gone = replies.send(Err(status_of(&lost))).await.is_err();
}

/// From the caller to the program; returns when the caller has gone. A caller that only has no more
/// to say keeps the conversation.
async fn carry_input(
    mut requests: Streaming<proto::SessionRequest>,
    input: mpsc::Sender<SessionInput>,
) {
    loop {
        match requests.message().await.map(|message| message.map(SessionInput::try_from)) {
            Ok(Some(Ok(message))) => {
                // The program may be gone already; its exit status is on the way then.
                let _gone = input.send(message).await.is_err();
            }
            Ok(Some(Err(_))) => {}
            Ok(None) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
