//! What went wrong, with the causes kept apart.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::body::Stage;
use crate::connect::ConnectError;

/// The longest text of a failure, in characters.
pub const MAX_DETAIL_CHARS: usize = 400;

/// Why an exchange brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The policy refuses the address.
    Blocked,
    /// The name has no address or its lookup failed.
    Dns,
    /// Nobody listens at the address.
    Refused,
    /// No route to the address.
    Unreachable,
    /// The connection was closed or reset before the answer was complete.
    Reset,
    /// The handshake failed, or the certificate is not trusted.
    Tls,
    /// Not done by the deadline, or no connection in the time for one.
    Timeout,
    /// What came back is not HTTP, or breaks its rules or our limits.
    Protocol,
    /// The URL cannot be called.
    InvalidUrl,
}

impl Cause {
    /// Every cause, in the order above.
    pub const ALL: [Self; 9] = [
        Self::Blocked,
        Self::Dns,
        Self::Refused,
        Self::Unreachable,
        Self::Reset,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
        Self::InvalidUrl,
    ];

    /// The word for logs, metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::InvalidUrl => "invalid_url",
        }
    }
}

/// An exchange that brought no complete answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Whether a connection was there to take the request, handshake included. Then the receiver may have seen it.
    pub connected: bool,
    /// One readable line with host and port, at most [`MAX_DETAIL_CHARS`]; never a path, query or header.
    pub detail: String,
    /// From the call to the failure.
    pub elapsed: Duration,
}

impl Failure {
    /// Whether no connection could be made at all: the receiver never saw the request.
    #[must_use]
    pub fn no_connection(&self) -> bool {
        !self.connected
    }

    /// Reads an error of the client below and what is behind it. `place` is the host and port called.
    pub(crate) fn of(error: &(dyn Error + 'static), place: &str) -> Self {
        let cause = chain(error).find_map(cause_of).unwrap_or(Cause::Protocol);
        let refused = chain(error).find_map(|error| error.downcast_ref::<ConnectError>());
        let detail = match refused {
            Some(refused) => refused.to_string(),
            None => format!("exchange with {place}: {}", told(error)),
        };
        Self { cause, connected: refused.is_none(), detail: one_line(&detail), elapsed: Duration::ZERO }
    }

    /// The deadline passed at this stage.
    pub(crate) fn deadline(stage: Stage, place: &str, deadline: Duration) -> Self {
        let detail = match stage {
            Stage::Connecting => format!("no connection to {place} within {deadline:?}"),
            Stage::Waiting => format!("no answer from {place} within {deadline:?}"),
            Stage::Reading => format!("the answer of {place} was not complete within {deadline:?}"),
        };
        Self {
            cause: Cause::Timeout,
            connected: stage > Stage::Connecting,
            detail: one_line(&detail),
            elapsed: Duration::ZERO,
        }
    }
}

/// One line of at most [`MAX_DETAIL_CHARS`]: a certificate or a resolver may say anything.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DETAIL_CHARS).collect()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// What the innermost error says: the outer ones only repeat where it happened.
fn told(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The cause that one link of a chain shows by itself, if any.
fn cause_of(error: &(dyn Error + 'static)) -> Option<Cause> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return Some(of_connect(error));
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return Some(of_h2(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(of_io(error));
    }
    error.downcast_ref::<hyper::Error>().and_then(of_hyper)
}

fn of_connect(error: &ConnectError) -> Cause {
    match error {
        ConnectError::Url(_) => Cause::InvalidUrl,
        ConnectError::Blocked(_) => Cause::Blocked,
        ConnectError::Dns { .. } => Cause::Dns,
        ConnectError::Tcp { error, .. } => match of_io(error) {
            Cause::Protocol => Cause::Unreachable,
            cause => cause,
        },
        ConnectError::Tls { error, .. } if error.kind() == ErrorKind::TimedOut => Cause::Timeout,
        ConnectError::Tls { .. } => Cause::Tls,
    }
}

/// An HTTP/2 error: the receiver's own resets and a lost connection are one thing, broken rules another.
fn of_h2(error: &h2::Error) -> Cause {
    match error.get_io() {
        Some(error) => of_io(error),
        None if error.is_remote() => Cause::Reset,
        None => Cause::Protocol,
    }
}

fn of_io(error: &io::Error) -> Cause {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Cause::Tls;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Cause::Refused,
        ErrorKind::TimedOut => Cause::Timeout,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Cause::Reset,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Cause::Unreachable,
        _ => Cause::Protocol,
    }
}

/// What hyper knows without a deeper error; `None` leaves it to the next link.
fn of_hyper(error: &hyper::Error) -> Option<Cause> {
    if error.is_timeout() {
        return Some(Cause::Timeout);
    }
    let ended = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    ended.then_some(Cause::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_up_to_its_limit() {
        assert_eq!(one_line("a\r\nb\tc"), "a  b c");
        assert_eq!(one_line(&"é".repeat(MAX_DETAIL_CHARS)).chars().count(), MAX_DETAIL_CHARS);
        assert_eq!(one_line(&"é".repeat(MAX_DETAIL_CHARS + 1)).chars().count(), MAX_DETAIL_CHARS);
    }

    #[test]
    fn the_kinds_of_a_broken_connection_are_told_apart() {
        let cause = |kind: ErrorKind| of_io(&io::Error::from(kind)).as_str();
        assert_eq!(cause(ErrorKind::ConnectionRefused), "refused");
        assert_eq!(cause(ErrorKind::BrokenPipe), "reset");
        assert_eq!(cause(ErrorKind::HostUnreachable), "unreachable");
        assert_eq!(cause(ErrorKind::NetworkUnreachable), "unreachable");
        assert_eq!(cause(ErrorKind::TimedOut), "timeout");
        assert_eq!(cause(ErrorKind::InvalidData), "protocol");
        assert_eq!(of_io(&io::Error::other(rustls::Error::DecryptError)), Cause::Tls);
    }
}
