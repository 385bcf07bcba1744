//! One exchange with a receiver, and what its end means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{StatusCode, Uri};
use tillstream_model::integration::{Ruling, Settings};
use tillstream_model::verdict::{self, Answer, Verdict, verdict};
use tillstream_model::{Event, Time};
use tillstream_outbound::{Cause, Pool, Request};
use tillstream_store::state::{Failure, KEPT_ANSWER_BYTES};
use tokio::time::Instant;

use super::request::Template;
use super::token::{Refused, Tokens};
use crate::deliver::exchange::Exchange;

/// The answer header by which a receiver switches itself off, and its value.
const SWITCH: (&str, &str) = ("webhook-delivery", "disable");

/// Sends an integration's requests.
pub(crate) struct Sender {
    pub(crate) template: Template,
    pub(crate) pool: Pool,
    /// Where access tokens come from, if they do.
    pub(crate) tokens: Option<Arc<Tokens>>,
}

/// What came of a request.
pub(crate) enum Reply {
    /// An answer.
    Answer(tillstream_outbound::Answer),
    /// None.
    Failed(tillstream_outbound::Failure),
    /// There was no access token to send it with.
    NoToken(Refused),
}

impl Sender {
    /// The settings it was made from.
    pub(crate) fn settings(&self) -> &Settings {
        self.template.settings()
    }

    /// Sends an event; always ends within the deadline of the settings.
    pub(crate) async fn send(&self, event: &Event, attempt: u32, replay: Option<&str>, now: Time) -> Exchange {
        let request = self.template.request(event, attempt, replay, now);
        let to = request.uri.clone();
        match self.exchange(request, now).await {
            Reply::Answer(answer) => answered(&to, &answer, now, &self.settings().delivery.verdicts),
            Reply::Failed(failure) => failed(failure),
            Reply::NoToken(refused) => without_token(refused),
        }
    }

    /// Sends a request, with an access token where one is needed. A token that is no longer good is replaced once.
    pub(crate) async fn exchange(&self, request: Request, now: Time) -> Reply {
        let end = Instant::now() + self.deadline();
        let Some(tokens) = &self.tokens else { return self.pass(request, end).await };
        let first = match tokens.get(&self.pool, self.deadline(), now, None).await {
            Ok(token) => token,
            Err(refused) => return Reply::NoToken(refused),
        };
        let with = |token| {
            let mut request = request.clone();
            request.headers.insert(AUTHORIZATION, token);
            self.pass(request, end)
        };
        let reply = with(first.value.clone()).await;
        if !matches!(&reply, Reply::Answer(answer) if answer.status == StatusCode::UNAUTHORIZED) {
            return reply;
        }
        match tokens.get(&self.pool, self.deadline(), now, Some(first.number)).await {
            Ok(second) if second.number != first.number => with(second.value).await,
            _ => reply,
        }
    }

    async fn pass(&self, request: Request, end: Instant) -> Reply {
        match self.pool.send(request, end.saturating_duration_since(Instant::now())).await {
            Ok(answer) => Reply::Answer(answer),
            Err(failure) => Reply::Failed(failure),
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.settings().delivery.timeout_seconds.into())
    }
}

fn answered(to: &Uri, answer: &tillstream_outbound::Answer, now: Time, own: &BTreeMap<u16, Ruling>) -> Exchange {
    let code = answer.status.as_u16();
    let header = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    let retry_after = header.and_then(|v| verdict::retry_after(v, now));
    let verdict = verdict(Answer::Status { code, retry_after }, own);
    let detail =
        if verdict == Verdict::Delivered { String::new() } else { format!("{} answered {}", place(to), answer.status) };
    let failure = (verdict != Verdict::Delivered).then(|| Failure {
        cause: "status".into(),
        detail: detail.clone(),
        answer: answer.body_start[..answer.body_start.len().min(KEPT_ANSWER_BYTES)].to_vec(),
    });
    let switch_off =
        answer.headers.get(SWITCH.0).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(SWITCH.1.as_bytes()));
    Exchange { verdict, status: Some(code), detail, failure, elapsed: answer.elapsed, switch_off, unsent: false }
}

/// A URL without its query, which may carry a key.
pub(crate) fn place(uri: &Uri) -> String {
    format!("{}://{}{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()), uri.path())
}

fn failed(failure: tillstream_outbound::Failure) -> Exchange {
    let timeout = failure.cause == Cause::Timeout;
    let verdict = verdict(Answer::Failed { no_connection: failure.no_connection(), timeout }, &BTreeMap::new());
    let row = Failure { cause: failure.cause.as_str().into(), detail: failure.detail.clone(), answer: Vec::new() };
    Exchange {
        verdict,
        status: None,
        detail: failure.detail,
        failure: Some(row),
        elapsed: failure.elapsed,
        switch_off: false,
        unsent: false,
    }
}

/// Without a token nothing reaches the receiver, as without a connection: twice in a row opens the circuit, and no
/// attempt of an event is used up.
fn without_token(refused: Refused) -> Exchange {
    let row = Failure { cause: "token".into(), detail: refused.detail.clone(), answer: Vec::new() };
    Exchange {
        verdict: Verdict::Retry { slow_down: false, pause: None, no_connection: true },
        status: None,
        detail: refused.detail,
        failure: Some(row),
        elapsed: refused.elapsed,
        switch_off: false,
        unsent: true,
    }
}
