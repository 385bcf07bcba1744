//! HTTP/1.1 with nothing spared but the necessary: prebuilt bytes out, status line, `content-length` and body
//! in. On two cores a full client would measure itself instead of the hub.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head longer than this is refused, bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// A body longer than this is refused, bytes.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The longest that one answer may take to come.
pub const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

const FIRST_BUFFER_BYTES: usize = 16 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";
const CONTENT_LENGTH: &[u8] = b"content-length:";

/// The head of an answer that has come in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status code.
    pub status: u16,
    body_at: usize,
    body_bytes: usize,
}

/// The head of a request that has come in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Where the path lies in the buffer.
    pub path: Range<usize>,
    /// Where the body begins in the buffer.
    pub body_at: usize,
    /// How long the body is.
    pub body_bytes: usize,
}

/// One answer: status and body, borrowed from the connection until its next exchange.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// A kept-alive connection for one exchange at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects to `addr`.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await.with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(FIRST_BUFFER_BYTES) })
    }

    /// Sends `request` as it is and waits for its whole answer. It sets no time limit; the caller does.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
            if let Some(head) = complete(&self.buffer)? {
                return Ok(answer(head, &self.buffer));
            }
        }
    }
}

/// The same on a blocking socket: the open loop runs on threads, because the timer of an async runtime
/// rounds to a millisecond and would show in the latencies.
pub struct BlockingConnection {
    stream: std::net::TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl BlockingConnection {
    /// Connects to `addr`; every read gives up after [`EXCHANGE_LIMIT`].
    pub fn open(addr: SocketAddr) -> Result<Self> {
        let stream = std::net::TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(EXCHANGE_LIMIT))?;
        Ok(Self { stream, buffer: vec![0; FIRST_BUFFER_BYTES], filled: 0 })
    }

    /// Sends `request` as it is and waits for its whole answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.filled = 0;
        self.stream.write_all(request)?;
        loop {
            self.read_more()?;
            if let Some(head) = complete(&self.buffer[..self.filled])? {
                return Ok(answer(head, &self.buffer));
            }
        }
    }

    fn read_more(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..])?;
        ensure!(read > 0, "the server closed the connection");
        self.filled += read;
        Ok(())
    }
}

/// The bytes of a request with a body of `content_type`; `headers` are whole lines with their `\r\n`.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The head of the answer in `buffer`, or `None` if it is not whole yet.
pub fn answer_head(buffer: &[u8]) -> Result<Option<AnswerHead>> {
    let Some(end) = head_end(buffer)? else { return Ok(None) };
    let status = buffer.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    let status = status.context("an answer without a status code")?;
    let body_bytes = match content_length(&buffer[..end])? {
        Some(length) => length,
        None if status == 204 || status == 304 => 0,
        None => bail!("an answer {status} without content-length"),
    };
    Ok(Some(AnswerHead { status, body_at: end, body_bytes }))
}

/// The head of the first request in `buffer`, or `None` if it is not whole yet.
pub fn request_head(buffer: &[u8]) -> Result<Option<RequestHead>> {
    let Some(end) = head_end(buffer)? else { return Ok(None) };
    let path_at = memchr::memchr(b' ', &buffer[..end]).context("a request without a path")? + 1;
    let path_len = memchr::memchr(b' ', &buffer[path_at..end]).context("a request without a version")?;
    let body_bytes = content_length(&buffer[..end])?.unwrap_or(0);
    Ok(Some(RequestHead { path: path_at..path_at + path_len, body_at: end, body_bytes }))
}

fn complete(buffer: &[u8]) -> Result<Option<AnswerHead>> {
    Ok(answer_head(buffer)?.filter(|head| buffer.len() >= head.body_at + head.body_bytes))
}

fn answer(head: AnswerHead, buffer: &[u8]) -> Answer<'_> {
    Answer { status: head.status, body: &buffer[head.body_at..head.body_at + head.body_bytes] }
}

fn head_end(buffer: &[u8]) -> Result<Option<usize>> {
    let end = memchr::memmem::find(buffer, HEAD_END).map(|at| at + HEAD_END.len());
    ensure!(end.unwrap_or(buffer.len()) <= MAX_HEAD_BYTES, "a head over {MAX_HEAD_BYTES} bytes");
    Ok(end)
}

fn content_length(head: &[u8]) -> Result<Option<usize>> {
    let starts = memchr::memchr_iter(b'\n', head).map(|at| &head[at + 1..]);
    let Some(line) = starts.into_iter().find(|line| is_content_length(line)) else { return Ok(None) };
    let end = memchr::memchr(b'\r', line).unwrap_or(line.len());
    let value = std::str::from_utf8(&line[CONTENT_LENGTH.len()..end])?.trim();
    let length = value.parse().with_context(|| format!("content-length {value:?}"))?;
    ensure!(length <= MAX_BODY_BYTES, "a body over {MAX_BODY_BYTES} bytes");
    Ok(Some(length))
}

fn is_content_length(line: &[u8]) -> bool {
    line.get(..CONTENT_LENGTH.len()).is_some_and(|name| name.eq_ignore_ascii_case(CONTENT_LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn an_answer_is_complete_only_with_its_last_byte() {
        for end in 0..ANSWER.len() {
            assert_eq!(complete(&ANSWER[..end]).expect("a good answer"), None, "after {end} bytes");
        }
        let head = complete(ANSWER).expect("a good answer").expect("a whole answer");
        assert_eq!((head.status, answer(head, ANSWER).body), (202, &b"{}"[..]));
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(answer_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(answer_head(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok());
    }

    #[test]
    fn a_request_shows_its_path_and_body() {
        let bytes = request("POST", "/ok/7?x", "", b"abc");
        let head = request_head(&bytes).expect("a good request").expect("a whole head");
        assert_eq!(&bytes[head.path.clone()], b"/ok/7?x");
        assert_eq!(&bytes[head.body_at..head.body_at + head.body_bytes], b"abc");
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(head_end(&vec![b'x'; MAX_HEAD_BYTES]).is_ok());
        assert!(head_end(&vec![b'x'; MAX_HEAD_BYTES + 1]).is_err());
        let head = |length: usize| format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
        assert!(request_head(head(MAX_BODY_BYTES).as_bytes()).is_ok());
        assert!(request_head(head(MAX_BODY_BYTES + 1).as_bytes()).is_err());
    }
}
