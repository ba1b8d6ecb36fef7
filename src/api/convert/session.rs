//! Conversations with programs in containers.

use super::{BadMessage, narrow};
use crate::api::control::{Attach, Exec, Run, SessionInput, SessionOutput, WindowSize};
use crate::api::message::Target;
use crate::api::proto;
use crate::api::proto::session_reply::Reply;
use crate::api::proto::session_request::Request;

impl From<WindowSize> for proto::WindowSize {
    fn from(size: WindowSize) -> Self {
        Self { rows: size.rows.into(), columns: size.columns.into() }
    }
}

impl TryFrom<proto::WindowSize> for WindowSize {
    type Error = BadMessage;

    fn try_from(size: proto::WindowSize) -> Result<Self, BadMessage> {
        let rows = narrow("size.rows", size.rows)?;
        Ok(Self { rows, columns: narrow("size.columns", size.columns)? })
    }
}

impl From<(Target, Exec)> for proto::ExecStart {
    fn from((target, exec): (Target, Exec)) -> Self {
        let Exec { args, env, user, cwd, tty, stdin, privileged, size, detach } = exec;
        let size = size.map(Into::into);
        let target = Some(target.into());
        Self { target, args, env, user, cwd, tty, stdin, privileged, size, detach }
    }
}

impl TryFrom<proto::ExecStart> for Exec {
    type Error = BadMessage;

    fn try_from(start: proto::ExecStart) -> Result<Self, BadMessage> {
        let proto::ExecStart { args, env, user, cwd, tty, stdin, privileged, detach, .. } = start;
        if args.is_empty() {
            return Err(BadMessage::missing("exec.args"));
        }
        let size = start.size.map(TryInto::try_into).transpose()?;
        Ok(Self { args, env, user, cwd, tty, stdin, privileged, size, detach })
    }
}

impl From<(Target, Attach)> for proto::AttachStart {
    fn from((target, attach): (Target, Attach)) -> Self {
        let size = attach.size.map(Into::into);
        Self { target: Some(target.into()), stdin: attach.stdin, size }
    }
}

impl TryFrom<proto::AttachStart> for Attach {
    type Error = BadMessage;

    fn try_from(start: proto::AttachStart) -> Result<Self, BadMessage> {
        let size = start.size.map(TryInto::try_into).transpose()?;
        Ok(Self { stdin: start.stdin, size })
    }
}

impl From<(proto::ApplyRequest, Run)> for proto::RunStart {
    fn from((stack, run): (proto::ApplyRequest, Run)) -> Self {
        let Run { service, stdin, size, detach } = run;
        Self { stack: Some(stack), service, stdin, size: size.map(Into::into), detach }
    }
}

impl TryFrom<proto::RunStart> for Run {
    type Error = BadMessage;

    fn try_from(start: proto::RunStart) -> Result<Self, BadMessage> {
        let proto::RunStart { service, stdin, size, detach, .. } = start;
        let size = size.map(TryInto::try_into).transpose()?;
        Ok(Self { service, stdin, size, detach })
    }
}

impl From<SessionInput> for proto::SessionRequest {
    fn from(input: SessionInput) -> Self {
        let request = match input {
            SessionInput::Stdin(bytes) => Request::Stdin(bytes),
            SessionInput::CloseStdin => Request::CloseStdin(proto::Done {}),
            SessionInput::Resize(size) => Request::Resize(size.into()),
            SessionInput::Signal(signal) => Request::Signal(signal),
        };
        Self { request: Some(request) }
    }
}

impl TryFrom<proto::SessionRequest> for SessionInput {
    type Error = BadMessage;

    fn try_from(message: proto::SessionRequest) -> Result<Self, BadMessage> {
        match message.request {
            Some(Request::Stdin(bytes)) => Ok(Self::Stdin(bytes)),
            Some(Request::CloseStdin(_)) => Ok(Self::CloseStdin),
            Some(Request::Resize(size)) => Ok(Self::Resize(size.try_into()?)),
            Some(Request::Signal(signal)) => Ok(Self::Signal(signal)),
            Some(Request::Exec(_) | Request::Attach(_) | Request::Run(_)) => {
                let problem = "came after the start of the session".to_owned();
                Err(BadMessage { field: "request", problem })
            }
            None => Err(BadMessage::missing("request")),
        }
    }
}

impl From<SessionOutput> for proto::SessionReply {
    fn from(output: SessionOutput) -> Self {
        let reply = match output {
            SessionOutput::Stdout(bytes) => Reply::Stdout(bytes),
            SessionOutput::Stderr(bytes) => Reply::Stderr(bytes),
            SessionOutput::Exited(code) => Reply::ExitCode(code),
        };
        Self { reply: Some(reply) }
    }
}

impl From<Reply> for Option<SessionOutput> {
    /// Nothing for the reply that only says that the program runs.
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Started(_) => None,
            Reply::Stdout(bytes) => Some(SessionOutput::Stdout(bytes)),
            Reply::Stderr(bytes) => Some(SessionOutput::Stderr(bytes)),
            Reply::ExitCode(code) => Some(SessionOutput::Exited(code)),
        }
    }
}
