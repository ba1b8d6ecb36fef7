//! What goes over the socket: frames of eight bytes and a body.
//!
//! Length of the body, version, and verb or status, all big-endian, then JSON or text. The frame is
//! the same in every version, and so is [`Verb::Stop`]: a new daemon can always end an old helper.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The version of the bodies. It counts up when an old helper would misunderstand a new daemon.
pub(super) const VERSION: u16 = 1;

/// The longest body: a thousand sandboxes with a thousand names each.
pub(super) const MAX_BODY: u32 = 64 << 20;

/// A message in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) version: u16,
    /// A [`Verb`] or a [`Status`].
    pub(super) code: u16,
    pub(super) body: Vec<u8>,
}

/// What is asked of the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Verb {
    /// Make the state in the body so; answered with a report.
    Put = 1,
    /// Answered with the last report.
    Get = 2,
    /// End; the state stays on disk for a successor.
    Stop = 3,
    /// End, and leave nothing behind.
    StopAndForget = 4,
}

/// How the helper answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Status {
    /// The body is a report.
    Report = 0,
    /// The body says why not.
    Refused = 1,
    /// It speaks the version of this frame and no other.
    OtherVersion = 2,
}

impl Verb {
    pub(super) fn of(code: u16) -> Option<Self> {
        [Self::Put, Self::Get, Self::Stop, Self::StopAndForget]
            .into_iter()
            .find(|verb| *verb as u16 == code)
    }
}

impl Status {
    pub(super) fn of(code: u16) -> Option<Self> {
        [Self::Report, Self::Refused, Self::OtherVersion]
            .into_iter()
            .find(|status| *status as u16 == code)
    }
}

impl Frame {
    /// A frame of our version.
    pub(super) fn new(code: u16, body: Vec<u8>) -> Self {
        Self { version: VERSION, code, body }
    }

    /// Sends it.
    ///
    /// # Errors
    /// If the body is too long or the other side is gone.
    pub(super) async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.body.len()).ok().filter(|length| *length <= MAX_BODY);
        let length = length.ok_or_else(|| too_long(self.body.len()))?;
        let mut head = [0; 8];
        head[..4].copy_from_slice(&length.to_be_bytes());
        head[4..6].copy_from_slice(&self.version.to_be_bytes());
        head[6..].copy_from_slice(&self.code.to_be_bytes());
        to.write_all(&head).await?;
        to.write_all(&self.body).await?;
        to.flush().await
    }

    /// The next frame; `None` at an orderly end.
    ///
    /// # Errors
    /// If the other side breaks off within a frame or announces one that is too long.
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut head = [0; 8];
        let first = from.read(&mut head).await?;
        if first == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[first..]).await?;
        let [a, b, c, d, version @ .., e, f] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > MAX_BODY {
            return Err(too_long(length));
        }
        // It grows as the bytes come: a length alone costs nothing.
        let mut body = Vec::new();
        from.take(length.into()).read_to_end(&mut body).await?;
        if body.len() < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (version, code) = (u16::from_be_bytes(version), u16::from_be_bytes([e, f]));
        Ok(Some(Self { version, code, body }))
    }
}

fn too_long(length: impl std::fmt::Display) -> io::Error {
    let text = format!("a message of {length} bytes is longer than the limit of {MAX_BODY}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_as_it_was_written() {
        let frame = Frame::new(Verb::Put as u16, b"{}".to_vec());
        let mut bytes = Vec::new();
        frame.write(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"\0\0\0\x02\0\x01\0\x01{}");
        let mut rest = &bytes[..];
        assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_frame_that_breaks_off_or_is_too_long_is_an_error() {
        let whole = b"\0\0\0\x02\0\x01\0\x01{}";
        for length in 1..whole.len() {
            Frame::read(&mut &whole[..length]).await.unwrap_err();
        }
        let error = Frame::read(&mut &b"\xff\0\0\0\0\x01\0\x01"[..]).await.unwrap_err();
        assert!(error.to_string().contains("longer than the limit"), "{error}");
    }
}
