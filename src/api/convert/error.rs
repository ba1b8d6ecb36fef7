//! Errors as gRPC statuses and back, so that the person at the other end reads the same sentence.

use prost::Message as _;
use tonic::{Code, Status};

use super::BadMessage;
use crate::api::control::{ControlError, ErrorKind};
use crate::api::proto;

/// The type of the detail that carries a hint.
const HINT_TYPE: &str = "type.googleapis.com/orca.v1.Hint";

/// The longest sentence sent: statuses travel in headers, which have a limit of 16 KiB.
const LONGEST: usize = 4096;

/// An error as it travels.
pub(crate) fn status_of(error: &ControlError) -> Status {
    let code = code_of(error.kind);
    let message = shortened(&error.message);
    let Some(hint) = &error.hint else {
        return Status::new(code, message);
    };
    let hint = proto::Hint { hint: shortened(hint).to_owned() };
    let detail = proto::Detail { type_url: HINT_TYPE.to_owned(), value: hint.encode_to_vec() };
    let details = proto::StatusDetails {
        code: code.into(),
        message: message.to_owned(),
        details: vec![detail],
    };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// The error that a status stands for.
pub(crate) fn error_of(status: &Status) -> ControlError {
    let error = ControlError::new(kind_of(status.code()), status.message());
    let details = proto::StatusDetails::decode(status.details()).unwrap_or_default();
    let hint = details
        .details
        .iter()
        .filter(|detail| detail.type_url == HINT_TYPE)
        .find_map(|detail| proto::Hint::decode(detail.value.as_slice()).ok());
    match hint {
        Some(hint) => error.with_hint(hint.hint),
        None => error,
    }
}

impl From<BadMessage> for ControlError {
    fn from(bad: BadMessage) -> Self {
        Self::invalid_input(format!("cannot understand the message: {bad}"))
    }
}

impl From<BadMessage> for Status {
    fn from(bad: BadMessage) -> Self {
        status_of(&bad.into())
    }
}

fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::Conflict => Code::AlreadyExists,
        ErrorKind::FailedPrecondition => Code::FailedPrecondition,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Internal => Code::Internal,
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidInput,
        Code::AlreadyExists | Code::Aborted => ErrorKind::Conflict,
        Code::FailedPrecondition => ErrorKind::FailedPrecondition,
        Code::Unavailable | Code::ResourceExhausted => ErrorKind::Unavailable,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
        _ => ErrorKind::Internal,
    }
}

/// The text, cut at a character's border where it is too long.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
