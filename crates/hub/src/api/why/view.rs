//! The answer as it is shown.

use serde::Serialize;
use tillstream_model::integration::Status;
use tillstream_model::why::{Advice, Answer, Counts, Site, Verdict};
use tillstream_model::{EventId, Time};
use utoipa::ToSchema;

use super::gather::Came;
use crate::api::lane_view::Circuit;
use crate::api::set_by::SetBy;

/// Why something did not arrive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Why {
    /// What is the matter and what to do, over all integrations that were looked at.
    #[serde(flatten)]
    pub answer: AnswerView,
    /// The site that was asked about.
    #[schema(required = true)]
    pub site: Option<SiteView>,
    /// What came.
    pub received: ReceivedView,
    /// What became of it at each integration that was looked at, by id.
    pub integrations: Vec<WhyIntegration>,
    /// The company has more integrations than were looked at: name one.
    pub more_integrations: bool,
}

/// What is the matter and what to do.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswerView {
    /// What is the matter, for programs.
    #[schema(value_type = String, example = "circuit_open")]
    pub verdict: Verdict,
    /// The same in a sentence.
    pub summary: String,
    /// The one thing to do, for programs.
    #[schema(value_type = String, example = "fix_receiver")]
    pub advice: Advice,
    /// The same in a sentence.
    #[schema(example = "Repair the receiver or its address: what waits is sent by itself then.")]
    pub todo: String,
}

impl Default for AnswerView {
    fn default() -> Self {
        Self { verdict: Verdict::Received, summary: String::new(), advice: Advice::Nothing, todo: String::new() }
    }
}

impl From<&Answer> for AnswerView {
    fn from(answer: &Answer) -> Self {
        Self {
            verdict: answer.verdict,
            summary: answer.summary.clone(),
            advice: answer.advice,
            todo: answer.todo.clone(),
        }
    }
}

/// A site, and when it was last heard from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhySite)]
pub struct SiteView {
    /// Its id.
    pub id: String,
    /// Somebody made it, or an event named it.
    pub known: bool,
    /// When its last event came.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_heard_at: Option<Time>,
    /// That is too long ago: longer than its threshold, or an hour if it has none.
    pub silent: bool,
}

impl SiteView {
    /// As known at `now`.
    pub fn new(site: &Site, now: Time) -> Self {
        Self { id: site.id.clone(), known: site.known, last_heard_at: site.last_heard, silent: site.is_silent(now) }
    }
}

/// What came of what was asked about.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceivedView {
    /// How many events.
    pub count: u64,
    /// When the last one was accepted.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_at: Option<Time>,
    /// The id of the last one.
    #[schema(value_type = Option<String>, required = true)]
    pub last_id: Option<EventId>,
    /// Everything in the window was looked at; when not, only the newest part of it.
    pub complete: bool,
}

impl From<&Came> for ReceivedView {
    fn from(came: &Came) -> Self {
        Self {
            count: came.received.count,
            last_at: came.received.last_at,
            last_id: came.newest.back().map(|e| e.id),
            complete: came.complete,
        }
    }
}

/// What became of it at one integration.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyIntegration {
    /// The integration's id.
    pub integration: String,
    /// Whether it works.
    #[schema(value_type = String, example = "running")]
    pub status: Status,
    /// Why it has this status, when somebody or something changed it.
    #[schema(required = true)]
    pub status_reason: Option<String>,
    /// What is the matter here and what to do.
    #[serde(flatten)]
    pub answer: AnswerView,
    /// Of how many events, the newest, the outcome was looked up.
    pub looked_at: u64,
    /// Whether the receiver is asked freely.
    pub circuit: Circuit,
    /// What the receiver has.
    pub delivered: DeliveredView,
    /// What rules kept back, with who set them.
    pub not_wanted: Vec<RuleView>,
    /// What was given up, by reason and last status.
    pub rejected: Vec<RejectedCount>,
    /// What is still to be sent.
    pub pending: PendingView,
    /// Events whose payload was deleted before they were sent.
    pub deleted: u64,
    /// Events before the integration's beginning.
    pub before_start: u64,
    /// Events that are done with; how is no longer kept.
    pub settled: u64,
}

/// What the receiver has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyDelivered)]
pub struct DeliveredView {
    /// How many events.
    pub count: u64,
    /// Of these, more than 15 minutes after they were accepted.
    pub late: u64,
    /// When the last attempt started that succeeded.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub last_at: Option<Time>,
}

/// A rule that kept events back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyRule)]
pub struct RuleView {
    /// Its place in the settings.
    #[schema(example = "availability")]
    pub rule: String,
    /// How many events.
    pub count: u64,
    /// Who set it, and when.
    #[schema(required = true)]
    pub set_by: Option<SetBy>,
}

/// Events that were given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyRejected)]
pub struct RejectedCount {
    /// `rejected`, `attempts_exhausted`, `expired` or `transform_failed`.
    #[schema(example = "rejected")]
    pub reason: String,
    /// Status of the last answer, if one came.
    #[schema(required = true)]
    pub last_status: Option<u16>,
    /// How many events.
    pub count: u64,
    /// When the last one was given up.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub last_at: Time,
}

/// Events that are still to be sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyPending)]
pub struct PendingView {
    /// How many.
    pub count: u64,
    /// Of these, tried before and waiting for their next attempt.
    pub retrying: u64,
    /// Of these, behind an earlier event of their entity that is tried again.
    pub behind: u64,
    /// When the next attempt of one of them is due, as far as that is known.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_attempt_at: Option<Time>,
    /// What went wrong last.
    #[schema(required = true)]
    pub last_error: Option<String>,
}

impl PendingView {
    /// Of these counts.
    pub fn new(counts: &Counts) -> Self {
        Self {
            count: counts.pending(),
            retrying: counts.retrying,
            behind: counts.behind,
            next_attempt_at: counts.next_try,
            last_error: counts.last_error.clone(),
        }
    }
}
