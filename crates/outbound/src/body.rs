//! The body that is sent, and the beginning of the one that comes back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

/// How much of an answer's body is read before the rest is given up, in bytes. A longer body is no failure.
pub const MAX_READ_BYTES: usize = 64 * 1024;
/// How much of an answer's body is kept, in bytes, unless the request says otherwise.
pub const KEPT_BYTES: usize = 4 * 1024;

/// How far an exchange came, so that a deadline can say what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No connection has taken the request yet.
    Connecting,
    /// A connection took the request; no head of an answer yet.
    Waiting,
    /// The head came, the body did not end.
    Reading,
}

/// The stage of one exchange, shared with its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<AtomicU8>);

impl Progress {
    pub(crate) fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Connecting,
            1 => Stage::Waiting,
            _ => Stage::Reading,
        }
    }

    pub(crate) fn reached(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::Relaxed);
    }
}

/// A request's body. Only a connection that is about to write the request looks at it, which is how an exchange knows
/// that it got one.
#[derive(Debug)]
pub(crate) struct Payload {
    data: Option<Bytes>,
    progress: Progress,
}

impl Payload {
    pub(crate) fn new(data: Bytes, progress: Progress) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Self { data, progress }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.reached(Stage::Waiting);
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.progress.reached(Stage::Waiting);
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// The beginning of an answer's body.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// At most as much as was asked for.
    pub(crate) kept: Bytes,
    /// Whether the body is longer than `kept`.
    pub(crate) truncated: bool,
}

/// Reads a body to its end, or until more than [`MAX_READ_BYTES`] came. A body given up half-way closes its HTTP/1.1
/// connection when dropped, and resets only its own stream on HTTP/2.
pub(crate) async fn read_start<B>(mut body: B, most: usize) -> Result<Start, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut kept = Bytes::new();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        read += data.len();
        kept = keep(kept, &data, most.min(MAX_READ_BYTES));
        if read > MAX_READ_BYTES {
            break;
        }
    }
    let truncated = read > kept.len();
    Ok(Start { kept, truncated })
}

fn keep(kept: Bytes, next: &Bytes, most: usize) -> Bytes {
    let wanted = next.len().min(most - kept.len());
    if kept.is_empty() {
        return next.slice(..wanted);
    }
    if wanted == 0 {
        return kept;
    }
    let mut joined = BytesMut::from(kept);
    joined.extend_from_slice(&next[..wanted]);
    joined.freeze()
}
