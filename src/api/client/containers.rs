//! `orca.v1.Containers`.

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::images::{sent, whole};
use super::{Client, ClientError, Reply, values};
use crate::api::control::{
    Attach, Chunks, CopyFound, CopyIn, CopyOut, Exec, Run, SessionInput, SessionOutput,
};
use crate::api::convert::each;
use crate::api::message::{ContainerProcesses, ContainerUsage, LogEntry, LogRequest, Target, Up};
use crate::api::proto;
use crate::api::proto::session_request::Request;

/// How many messages to a program wait before the caller has to.
const INPUT_BUFFER: usize = 64;

/// A conversation with a program in a container.
#[derive(Debug)]
pub struct ClientSession {
    /// To the program. Dropping it says that there will be no more; the conversation goes on.
    pub input: mpsc::Sender<SessionInput>,
    /// From the program.
    pub output: SessionOutputs,
}

/// What comes from a program. Dropping it ends the conversation.
#[derive(Debug)]
pub struct SessionOutputs(Streaming<proto::SessionReply>);

impl SessionOutputs {
    /// Whether the program has a terminal, which is said before anything else.
    ///
    /// # Errors
    /// If the conversation broke off.
    pub async fn has_terminal(&mut self) -> Reply<bool> {
        let first = self.0.message().await?.and_then(|message| message.reply);
        Ok(matches!(first, Some(proto::session_reply::Reply::Started(started)) if started.tty))
    }

    /// The next output; the last is [`SessionOutput::Exited`].
    ///
    /// # Errors
    /// If the conversation broke off.
    pub async fn next(&mut self) -> Reply<SessionOutput> {
        loop {
            let message = self.0.message().await?;
            let broke_off = || ClientError::Lost("the session ended without a status".to_owned());
            let reply = message.ok_or_else(broke_off)?.reply;
            if let Some(output) = reply.and_then(Option::from) {
                return Ok(output);
            }
        }
    }
}

impl Client {
    /// The logs of containers, merged by time.
    pub async fn logs(
        &self,
        request: LogRequest,
    ) -> Reply<impl Stream<Item = Reply<LogEntry>> + Send + Unpin + use<>> {
        let stream = self.containers().logs(proto::LogsRequest::from(request)).await?;
        Ok(values(stream.into_inner(), |entry| Ok(entry.into())))
    }

    /// Runs a program in a container.
    pub async fn exec(&self, target: Target, exec: Exec) -> Reply<ClientSession> {
        let (input, requests) = requests(Request::Exec((target, exec).into()));
        let replies = self.containers().exec(requests).await?.into_inner();
        Ok(ClientSession { input, output: SessionOutputs(replies) })
    }

    /// Connects to a container's own input and output.
    pub async fn attach(&self, target: Target, attach: Attach) -> Reply<ClientSession> {
        let (input, requests) = requests(Request::Attach((target, attach).into()));
        let replies = self.containers().attach(requests).await?.into_inner();
        Ok(ClientSession { input, output: SessionOutputs(replies) })
    }

    /// Runs a program in a container of its own. Returns once it runs.
    pub async fn run(&self, up: &Up, run: Run) -> Reply<ClientSession> {
        let stack = proto::ApplyRequest::try_from(up)?;
        let (input, requests) = requests(Request::Run((stack, run).into()));
        let replies = self.containers().run(requests).await?.into_inner();
        Ok(ClientSession { input, output: SessionOutputs(replies) })
    }

    /// Removes containers that were made to run one program, by their services.
    pub async fn drop_one_offs(&self, stack: &str, services: Vec<String>) -> Reply<()> {
        let stack = stack.to_owned();
        let request = proto::ServicesRequest { stack, services, ..Default::default() };
        self.containers().drop_one_offs(request).await?;
        Ok(())
    }

    /// The files at a path of a container: what is there, and an archive of it.
    pub async fn copy_out(
        &self,
        target: Target,
        copy: CopyOut,
    ) -> Reply<(CopyFound, impl Stream<Item = Reply<Vec<u8>>> + Send + Unpin + use<>)> {
        use proto::copy_out_reply::Reply as Part;
        let CopyOut { path, follow } = copy;
        let request = proto::CopyOutRequest { target: Some(target.into()), path, follow };
        let mut stream = self.containers().copy_out(request).await?.into_inner();
        let first = stream.message().await?.and_then(|message| message.reply);
        let Some(Part::Found(found)) = first else {
            return Err(ClientError::Lost("nothing was said of what is there".to_owned()));
        };
        let chunks = values(stream, |message| match message.reply {
            Some(Part::Chunk(chunk)) => Ok(chunk.data),
            _ => Ok(Vec::new()),
        });
        Ok((found.into(), chunks))
    }

    /// Makes the files of an archive in a container.
    pub async fn copy_in(&self, target: Target, copy: CopyIn, archive: Chunks) -> Reply<()> {
        use proto::copy_in_request::Request as Part;
        let (chunks, broken) = whole(archive);
        let message = |part| proto::CopyInRequest { request: Some(part) };
        let header = message(Part::Header((target, copy).into()));
        let chunks = chunks.map(move |chunk| message(Part::Chunk(chunk)));
        let messages = futures_util::stream::once(std::future::ready(header)).chain(chunks);
        let mut containers = self.containers();
        sent(containers.copy_in(messages), broken).await?;
        Ok(())
    }

    /// Sends a signal to the first process of containers; the names of those it was sent to.
    pub async fn kill(&self, target: Target, signal: &str) -> Reply<Vec<String>> {
        let target = Some(target.into());
        let request = proto::KillRequest { target, signal: signal.to_owned() };
        Ok(self.containers().kill(request).await?.into_inner().containers)
    }

    /// Freezes containers; the names of those it froze.
    pub async fn pause(&self, target: Target) -> Reply<Vec<String>> {
        let request = proto::Target::from(target);
        Ok(self.containers().pause(request).await?.into_inner().containers)
    }

    /// Thaws containers; the names of those it thawed.
    pub async fn unpause(&self, target: Target) -> Reply<Vec<String>> {
        let request = proto::Target::from(target);
        Ok(self.containers().unpause(request).await?.into_inner().containers)
    }

    /// What containers use, each second; once with `once`. Without a target: all containers.
    pub async fn stats(
        &self,
        target: Option<Target>,
        once: bool,
    ) -> Reply<impl Stream<Item = Reply<Vec<ContainerUsage>>> + Send + Unpin + use<>> {
        let request = proto::StatsRequest { target: target.map(Into::into), once };
        let stream = self.containers().stats(request).await?.into_inner();
        Ok(values(stream, |reply| Ok(each(reply.containers))))
    }

    /// The processes of containers.
    pub async fn top(&self, target: Target) -> Reply<Vec<ContainerProcesses>> {
        let reply = self.containers().top(proto::Target::from(target)).await?;
        Ok(each(reply.into_inner().containers))
    }
}

/// A stream of requests that begins with `first`, and the way to add to it.
fn requests(
    first: Request,
) -> (mpsc::Sender<SessionInput>, impl Stream<Item = proto::SessionRequest> + Send + 'static) {
    let (input, inputs) = mpsc::channel(INPUT_BUFFER);
    let first = proto::SessionRequest { request: Some(first) };
    let rest = ReceiverStream::new(inputs).map(|input: SessionInput| input.into());
    (input, futures_util::stream::once(std::future::ready(first)).chain(rest))
}
