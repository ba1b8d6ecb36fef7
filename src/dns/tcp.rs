//! Questions over TCP (RFC 7766), where a client can be slow on purpose.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::forward::Transport;
use super::server::Desk;

/// Connections to one sandbox's server. When one more comes, the oldest is closed.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take between questions, and to take in an answer.
const IDLE: Duration = Duration::from_secs(10);

/// How long a client may take from the first byte of a question to its last.
const SLOW: Duration = Duration::from_secs(2);

/// The longest question that is read. Real ones are a tenth of this.
const MAX_QUESTION: usize = 4096;

/// How long to rest after a failure to accept, so that a lasting one does not eat a processor.
const REST: Duration = Duration::from_millis(100);

/// Answers over TCP for as long as it is let.
pub(super) async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    let mut by_age = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to a resolver");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        by_age.retain(|handle: &tokio::task::AbortHandle| !handle.is_finished());
        if by_age.len() >= MAX_CONNECTIONS
            && let Some(oldest) = by_age.pop_front()
        {
            oldest.abort();
        }
        let desk = Arc::clone(&desk);
        by_age.push_back(connections.spawn(async move {
            if let Err(error) = converse(stream, &desk).await {
                tracing::debug!(%error, "a connection to a resolver ended");
            }
        }));
    }
}

/// Answers the questions of one connection in turn, until the client has no more or is too slow.
async fn converse(mut stream: TcpStream, desk: &Desk) -> io::Result<()> {
    while let Some(question) = receive(&mut stream).await? {
        // A client that sends what is no question at all gets no second chance.
        let Some(reply) = desk.reply(&question, Transport::Tcp).await else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
    Ok(())
}

/// The next question; `None` if the client has no more.
async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0];
    if timeout(IDLE, stream.read(&mut first)).await?? == 0 {
        return Ok(None);
    }
    let rest = async {
        let length = usize::from(u16::from_be_bytes([first[0], stream.read_u8().await?]));
        if length > MAX_QUESTION {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut question = vec![0; length];
        stream.read_exact(&mut question).await?;
        Ok(Some(question))
    };
    timeout(SLOW, rest).await?
}
