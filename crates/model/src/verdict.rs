//! What an answer means (`contracts/event-stream.md`, "Webhook answers").

use std::collections::BTreeMap;
use std::time::Duration;

use crate::integration::Ruling;

/// Longest pause that a receiver can ask for with `Retry-After`.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// After a 410 the receiver is asked once more, this much later.
pub const GONE_RECHECK: Duration = Duration::from_secs(10);

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The receiver answered.
    Status {
        /// HTTP status.
        code: u16,
        /// What `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// It did not.
    Failed {
        /// Whether not even a connection could be made.
        no_connection: bool,
        /// Whether time ran out.
        timeout: bool,
    },
}

/// What to do with the event, and what it says about the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The receiver will not have it; go on without.
    Reject,
    /// Try again; `slow_down` asks for a smaller window, `pause` for none at all for a while.
    Retry {
        /// The receiver is over its limits: 429, 503 or time ran out.
        slow_down: bool,
        /// Leave the receiver alone for that long.
        pause: Option<Duration>,
        /// Not even a connection could be made.
        no_connection: bool,
    },
    /// The receiver says it is gone for good: ask once more after [`GONE_RECHECK`], then stop.
    Gone,
    /// The integration is to stop with the event pending: only where its own verdicts say so.
    Stop,
}

/// The verdict on an answer; `own` says what some statuses mean in place of what they usually do.
pub fn verdict(answer: Answer, own: &BTreeMap<u16, Ruling>) -> Verdict {
    let ruled = match answer {
        Answer::Status { code, .. } => own.get(&code),
        Answer::Failed { .. } => None,
    };
    match ruled {
        None => usual(answer),
        Some(Ruling::Delivered) => Verdict::Delivered,
        Some(Ruling::Reject) => Verdict::Reject,
        Some(Ruling::Retry) => retried(answer),
        Some(Ruling::Stop) => Verdict::Stop,
    }
}

fn usual(answer: Answer) -> Verdict {
    match answer {
        Answer::Status { code: 200..=299, .. } => Verdict::Delivered,
        Answer::Status { code: 410, .. } => Verdict::Gone,
        Answer::Status { code, .. } if !is_retried(code) => Verdict::Reject,
        Answer::Status { .. } | Answer::Failed { .. } => retried(answer),
    }
}

fn retried(answer: Answer) -> Verdict {
    match answer {
        Answer::Status { code, retry_after } => Verdict::Retry {
            slow_down: matches!(code, 429 | 503),
            pause: retry_after.map(|d| d.min(MAX_RETRY_AFTER)),
            no_connection: false,
        },
        Answer::Failed { no_connection, timeout } => Verdict::Retry { slow_down: timeout, pause: None, no_connection },
    }
}

/// 401, 403, 404, 408, 409, 425, 429, 5xx and everything that is no final answer (1xx, 3xx: redirects are not followed).
fn is_retried(code: u16) -> bool {
    !(400..500).contains(&code) || matches!(code, 401 | 403 | 404 | 408 | 409 | 425 | 429)
}

/// Reads a `Retry-After` value: seconds, or an HTTP date compared with `now`.
pub fn retry_after(value: &str, now: crate::Time) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(crate::Time::from_millis(date.timestamp().as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Verdict {
        verdict(Answer::Status { code, retry_after: None }, &BTreeMap::new())
    }

    #[test]
    fn every_status_has_the_verdict_of_the_contract() {
        let retried = [401, 403, 404, 408, 409, 425, 429, 500, 501, 502, 503, 504, 599, 300, 301, 302, 304, 307, 308];
        for code in 100..=599 {
            let expected = match code {
                200..=299 => Verdict::Delivered,
                410 => Verdict::Gone,
                c if retried.contains(&c) || !(400..500).contains(&c) => {
                    Verdict::Retry { slow_down: c == 429 || c == 503, pause: None, no_connection: false }
                }
                _ => Verdict::Reject,
            };
            assert_eq!(status(code), expected, "{code}");
        }
    }

    #[test]
    fn a_time_out_slows_down_and_a_refused_connection_says_so() {
        let failed = |no_connection, timeout| verdict(Answer::Failed { no_connection, timeout }, &BTreeMap::new());
        assert_eq!(failed(false, true), Verdict::Retry { slow_down: true, pause: None, no_connection: false });
        assert_eq!(failed(true, false), Verdict::Retry { slow_down: false, pause: None, no_connection: true });
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 10:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sat, 21 Nov 2026 09:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        let late = Answer::Status { code: 503, retry_after: Some(Duration::from_secs(9_999)) };
        let v = verdict(late, &BTreeMap::new());
        assert_eq!(v, Verdict::Retry { slow_down: true, pause: Some(MAX_RETRY_AFTER), no_connection: false });
    }

    #[test]
    fn an_integrations_own_verdicts_come_first() {
        let own = BTreeMap::from([
            (409, Ruling::Delivered),
            (503, Ruling::Reject),
            (200, Ruling::Retry),
            (410, Ruling::Retry),
            (402, Ruling::Stop),
        ]);
        let of = |code| verdict(Answer::Status { code, retry_after: Some(Duration::from_secs(7)) }, &own);
        let pause = Some(Duration::from_secs(7));
        let retry = Verdict::Retry { slow_down: false, pause, no_connection: false };
        assert_eq!(
            [of(409), of(503), of(200), of(410), of(402), of(422)],
            [Verdict::Delivered, Verdict::Reject, retry, retry, Verdict::Stop, Verdict::Reject]
        );
        let failed = Answer::Failed { no_connection: true, timeout: false };
        assert_eq!(verdict(failed, &own), verdict(failed, &BTreeMap::new()));
    }
}
