//! One exchange with a receiver, and what its end means.

use std::time::Duration;

use http::Uri;
use http::header::RETRY_AFTER;
use tillstream_model::Time;
use tillstream_model::verdict::{self, Answer, Verdict, verdict};
use tillstream_outbound::{Cause, Pool, Request};
use tillstream_store::state::{Failure, KEPT_ANSWER_BYTES};

/// How an exchange ended.
pub(crate) struct Exchange {
    /// What it means for the event and the lane.
    pub(crate) verdict: Verdict,
    /// Status, if an answer came.
    pub(crate) status: Option<u16>,
    /// In one line.
    pub(crate) detail: String,
    /// Only when it was no success.
    pub(crate) failure: Option<Failure>,
    /// Name look-up to the last byte.
    pub(crate) elapsed: Duration,
    /// The receiver asks to be sent no more.
    pub(crate) switch_off: bool,
}

/// The answer header by which a receiver switches itself off, and its value.
const SWITCH: (&str, &str) = ("webhook-delivery", "disable");

/// Sends a request; always ends within the deadline.
pub(crate) async fn send(pool: &Pool, request: Request, deadline: Duration, now: Time) -> Exchange {
    let to = request.uri.clone();
    match pool.send(request, deadline).await {
        Ok(answer) => answered(&to, &answer, now),
        Err(failure) => failed(failure),
    }
}

fn answered(to: &Uri, answer: &tillstream_outbound::Answer, now: Time) -> Exchange {
    let code = answer.status.as_u16();
    let header = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    let verdict = verdict(Answer::Status { code, retry_after: header.and_then(|v| verdict::retry_after(v, now)) });
    let detail =
        if verdict == Verdict::Delivered { String::new() } else { format!("{} answered {}", place(to), answer.status) };
    let failure = (verdict != Verdict::Delivered).then(|| Failure {
        cause: "status".into(),
        detail: detail.clone(),
        answer: answer.body_start[..answer.body_start.len().min(KEPT_ANSWER_BYTES)].to_vec(),
    });
    let switch_off =
        answer.headers.get(SWITCH.0).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(SWITCH.1.as_bytes()));
    Exchange { verdict, status: Some(code), detail, failure, elapsed: answer.elapsed, switch_off }
}

/// The receiver's URL without its query, which may carry a key.
fn place(uri: &Uri) -> String {
    format!("{}://{}{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()), uri.path())
}

fn failed(failure: tillstream_outbound::Failure) -> Exchange {
    let timeout = failure.cause == Cause::Timeout;
    let verdict = verdict(Answer::Failed { no_connection: failure.no_connection(), timeout });
    let row = Failure { cause: failure.cause.as_str().into(), detail: failure.detail.clone(), answer: Vec::new() };
    Exchange {
        verdict,
        status: None,
        detail: failure.detail,
        failure: Some(row),
        elapsed: failure.elapsed,
        switch_off: false,
    }
}
