//! HTTP/1.1 (RFC 9112): the part that a small server and its client need.

use std::fmt::Write as _;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest head of a request or an answer.
const MAX_HEAD: usize = 16 << 10;

/// The longest body of a request that is read and thrown away.
const MAX_BODY: usize = 64 << 10;

/// A request, without its body: nothing here looks at one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without what follows a question mark.
    pub(super) path: String,
    /// Whether the client wants to send more over this connection.
    pub(super) keep_alive: bool,
}

/// A page as it was received.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why a request was not read.
#[derive(Debug)]
pub(super) enum BadRequest {
    /// The connection broke.
    Broken,
    /// It is answered with this status, and the connection is closed.
    Answered(u16),
}

impl From<io::Error> for BadRequest {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// The next request; `None` if the client has no more. What was read beyond it stays in `buffer`.
///
/// # Errors
/// What to do with one that cannot be read.
pub(super) async fn request(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<Option<Request>, BadRequest> {
    let end = loop {
        if let Some(end) = end_of_head(buffer) {
            break end;
        }
        if buffer.len() > MAX_HEAD {
            return Err(BadRequest::Answered(431));
        }
        if from.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(BadRequest::Broken) };
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let (request, length) = parse(&head).map_err(BadRequest::Answered)?;
    while buffer.len() < length {
        if from.read_buf(buffer).await? == 0 {
            return Err(BadRequest::Broken);
        }
    }
    buffer.drain(..length);
    Ok(Some(request))
}

/// Where the head ends: after the first empty line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a head: the request, and the length of its body. Otherwise the status that says what is
/// wrong.
fn parse(head: &str) -> Result<(Request, usize), u16> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(400);
    };
    let keeps_by_default = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(505),
    };
    if !target.starts_with('/') || method.is_empty() {
        return Err(400);
    }
    let headers = Headers(lines.collect());
    if headers.get("transfer-encoding").is_some() {
        return Err(411);
    }
    let length = match headers.get("content-length") {
        Some(length) => length.parse().map_err(|_| 400_u16)?,
        None => 0,
    };
    if length > MAX_BODY {
        return Err(413);
    }
    let keep_alive = match headers.get("connection") {
        Some(text) if text.eq_ignore_ascii_case("close") => false,
        Some(text) if text.eq_ignore_ascii_case("keep-alive") => true,
        _ => keeps_by_default,
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok((Request { method: method.to_owned(), path, keep_alive }, length))
}

struct Headers<'a>(Vec<&'a str>);

impl<'a> Headers<'a> {
    /// The value of a header; the first if there are more.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The bytes of an answer. To a `HEAD` the body is not sent, only its length.
pub(super) fn answer(status: u16, body: &str, keep_alive: bool, is_head: bool) -> Vec<u8> {
    let mut text = String::new();
    let connection = if keep_alive { "keep-alive" } else { "close" };
    // Writing to a text cannot fail.
    write!(
        text,
        "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: {connection}\r\n\r\n",
        reason(status),
        body.len(),
    )
    .ok();
    if !is_head {
        text.push_str(body);
    }
    text.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Reads an answer, all of which was received.
///
/// # Errors
/// What is wrong with it.
pub(super) fn page(bytes: &[u8]) -> Result<Page, String> {
    let Some(end) = end_of_head(bytes) else {
        return Err("the answer is not HTTP, or breaks off".to_owned());
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|status| status.parse().ok());
    let (true, Some(status)) = (is_http, status) else {
        return Err("the answer is not HTTP".to_owned());
    };
    let headers = Headers(lines.collect());
    let body = &bytes[end..];
    let chunked =
        headers.get("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked"));
    let body = match headers.get("content-length").map(str::parse::<usize>) {
        _ if chunked => chunks(body),
        Some(Ok(length)) => body.get(..length).map(<[u8]>::to_vec),
        Some(Err(_)) => None,
        None => Some(body.to_vec()),
    };
    let body = body.ok_or_else(|| "the answer breaks off".to_owned())?;
    Ok(Page { status, body })
}

/// Puts the chunks of a body together; `None` if some are missing.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[line_end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> String {
        let (mut from, mut buffer) = (text.as_bytes(), Vec::new());
        let mut heard = Vec::new();
        loop {
            heard.push(match request(&mut from, &mut buffer).await {
                Ok(Some(r)) => format!("{} {} {}", r.method, r.path, r.keep_alive),
                Ok(None) => break heard.join(", "),
                Err(BadRequest::Broken) => "broken".to_owned(),
                Err(BadRequest::Answered(status)) => status.to_string(),
            });
            if heard.last().is_some_and(|last| !last.contains(' ')) {
                break heard.join(", ");
            }
        }
    }

    #[tokio::test]
    async fn requests_are_read_one_after_the_other() {
        let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let post = "POST /a?b HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello";
        let cases = [
            ("", ""),
            (get, "GET / true"),
            (&format!("{get}{post}{get}"), "GET / true, POST /a true, GET / true"),
            ("GET / HTTP/1.0\r\n\r\n", "GET / false"),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / true"),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET / false"),
            ("GET / HT", "broken"),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel", "broken"),
            ("GET / HTTP/2.0\r\n\r\n", "505"),
            ("GET x HTTP/1.1\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            ("GET / HTTP/1.1 x\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", "413"),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
            (&"x".repeat(20_000), "431"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).await, expected, "{text:.60}");
        }
    }

    #[test]
    fn pages_are_read_in_each_form_of_body() {
        let check = |text: &str, expected: &str| {
            let got = match page(text.as_bytes()) {
                Ok(page) => format!("{} {}", page.status, String::from_utf8_lossy(&page.body)),
                Err(why) => why,
            };
            assert_eq!(got, expected, "{text}");
        };
        check("HTTP/1.1 200 OK\r\n\r\nall", "200 all");
        check("HTTP/1.0 404 Not\r\nContent-Length: 2\r\n\r\nno more", "404 no");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"),
            "200 abc0123456789",
        );
        check(&format!("{chunked}3\r\nabc\r\n"), "the answer breaks off");
        check(&format!("{chunked}zz\r\nabc\r\n"), "the answer breaks off");
        check(&format!("{chunked}ffffffffffffffff\r\nabc\r\n"), "the answer breaks off");
        check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "the answer breaks off");
        check("HTTP/1.1 200 OK\r\n", "the answer is not HTTP, or breaks off");
        check("SSH-2.0-x\r\n\r\n", "the answer is not HTTP");
        check("HTTP/1.1 ok\r\n\r\n", "the answer is not HTTP");
    }

    #[test]
    fn an_answer_can_be_read_back() {
        let bytes = answer(503, "ill\n", true, false);
        assert_eq!(page(&bytes), Ok(Page { status: 503, body: b"ill\n".to_vec() }));
        assert!(answer(200, "body", false, true).ends_with(b"\r\n\r\n"));
    }
}
