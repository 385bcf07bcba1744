//! What became of one event at one integration: from what is known to an outcome and a plain sentence.

use serde::Serialize;
use tillstream_model::integration::{Settings, Status};
use tillstream_model::selection::{Unwanted, wants};
use tillstream_model::{Event, Time};
use tillstream_store::state::{Attempt, Integration, Parked, Rejected, RejectedRow};
use utoipa::ToSchema;

use crate::api::attempt_view::AttemptView;
use crate::api::lane_view::{Circuit, LaneView, Standing};
use crate::api::rejected::RejectedView;
use crate::api::set_by::SetBy;

/// What became of the event at one integration.
#[derive(Debug, Serialize, ToSchema)]
pub struct Story {
    /// The integration's id.
    pub integration: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The same in one sentence.
    #[schema(example = "Delivered at 2026-11-21T10:00:00.250Z with attempt 1.")]
    pub summary: String,
    /// The version of the settings in force at the event's position; null when the integration began after it.
    #[schema(required = true)]
    pub version: Option<u32>,
    /// The rule that said no: its place in the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "events.where[0]")]
    pub rule: Option<String>,
    /// Who set that rule, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_by: Option<SetBy>,
    /// When the next attempt is due, as far as that is known.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub next_attempt_at: Option<Time>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptView>,
    /// The row among the rejected events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RejectedView>,
}

/// What became of an event at an integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EventOutcome)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The integration begins after it.
    BeforeStart,
    /// A rule said no.
    NotWanted,
    /// The receiver has it.
    Delivered,
    /// It was given up.
    Rejected,
    /// It waits for its next attempt, or behind one that does.
    Parked,
    /// Its turn has not come.
    Pending,
    /// It is done with, and nothing is kept of how.
    Settled,
}

/// Everything that is known.
pub struct Facts<'a> {
    pub integration: &'a Integration,
    pub event: &'a Event,
    /// Version and settings in force at the event's position.
    pub then: Option<(u32, Settings)>,
    pub parked: Option<Parked>,
    /// The rejected event that keeps its entity back.
    pub held_behind: Option<String>,
    pub rejected: Option<RejectedRow>,
    pub standing: Standing,
    pub attempts: &'a [Attempt],
}

impl Facts<'_> {
    /// The outcome in words; attempts and the rejected row are left to the caller.
    pub fn story(&self) -> Story {
        let (outcome, summary) = self.told();
        let rule = self.unwanted().filter(|_| outcome == Outcome::NotWanted).map(|no| no.place());
        Story {
            integration: self.integration.settings.id.clone(),
            outcome,
            summary,
            version: self.then.as_ref().map(|(version, _)| *version),
            rule,
            set_by: None,
            next_attempt_at: self
                .parked
                .as_ref()
                .filter(|_| outcome == Outcome::Parked && self.held_behind.is_none())
                .map(|p| p.next_at),
            attempts: Vec::new(),
            rejected: None,
        }
    }

    fn told(&self) -> (Outcome, String) {
        if let Some(parked) = self.parked.as_ref().filter(|p| !p.held) {
            return (Outcome::Parked, self.parked_text(parked));
        }
        if let Some(row) = &self.rejected {
            let held = self.parked.as_ref().is_some_and(|p| p.held);
            let holds = if held { " Later events of its entity wait until it is retried or deleted." } else { "" };
            return (Outcome::Rejected, rejected_text(&row.rejected) + holds);
        }
        if let Some(success) = self.attempts.iter().find(|a| a.failure.is_none()) {
            return (Outcome::Delivered, delivered_text(success));
        }
        let Some((version, settings)) = &self.then else {
            return (Outcome::BeforeStart, "Not sent: the integration begins after this event.".into());
        };
        match self.unwanted() {
            Some(no) if self.attempts.is_empty() => (Outcome::NotWanted, self.unwanted_text(&no, *version, settings)),
            _ if self.event.seq <= self.standing.cursor() => {
                (Outcome::Settled, "Done with: the record of how is no longer kept.".into())
            }
            _ => (Outcome::Pending, format!("Waits: {}.", self.why_pending())),
        }
    }

    /// The version and the rule of it that says no.
    pub fn unwanted_since(&self) -> Option<(u32, Unwanted)> {
        let (version, _) = self.then.as_ref()?;
        Some((*version, self.unwanted()?))
    }

    fn unwanted(&self) -> Option<Unwanted> {
        self.then.as_ref().and_then(|(_, settings)| wants(settings, self.event).err())
    }

    fn unwanted_text(&self, no: &Unwanted, version: u32, settings: &Settings) -> String {
        let why = match no {
            Unwanted::Events => {
                format!(
                    "neither the entity {} nor the name {} is selected",
                    self.event.content.entity(),
                    self.event.content.name
                )
            }
            Unwanted::Availability => match &self.event.content.site {
                Some(site) => format!("availability is off for site {site}"),
                None => "availability is off for events without a site".to_owned(),
            },
            Unwanted::Deleted => "its payload was deleted".to_owned(),
            Unwanted::Where(i) => {
                let clause = settings.events.r#where.get(*i).and_then(|c| serde_json::to_string(c).ok());
                format!("condition {} does not hold: {}", no.place(), clause.unwrap_or_default())
            }
        };
        format!("Not sent: {why} (version {version} of the settings).")
    }

    fn parked_text(&self, parked: &Parked) -> String {
        let stopped =
            if self.integration.status == Status::Stopped { " once the integration is started again" } else { "" };
        if let Some(holder) = self.held_behind.as_ref().filter(|_| parked.last_error.is_none()) {
            return format!(
                "Held behind the rejected event {holder} of its entity: retry or delete that one{stopped}."
            );
        }
        match (&parked.last_error, parked.last_status) {
            (None, None) => format!("Waits behind an earlier event of its entity{stopped}."),
            (error, status) => {
                let last = status.map_or_else(String::new, |s| format!("status {s}, "));
                let error = error.as_deref().unwrap_or("no reason is known");
                format!(
                    "Next attempt at {}{stopped}; {} failed, the last one: {last}{error}.",
                    parked.next_at, parked.attempts
                )
            }
        }
    }

    fn why_pending(&self) -> String {
        if self.integration.status == Status::Stopped {
            let reason = self.integration.status_reason.as_deref().unwrap_or("no reason given");
            return format!("the integration is stopped since {} ({reason})", self.integration.updated_at);
        }
        let lane = self.standing.lane.as_ref().map(LaneView::from);
        let probing = lane.as_ref().and_then(|l| Some((l.probing_since?, l.next_probe?)));
        match (self.standing.circuit(), probing) {
            (Circuit::Open, Some((since, next))) => format!("the receiver fails since {since}, next probe at {next}"),
            (Circuit::Braked, Some((since, next))) => {
                format!("the receiver refuses too much since {since}, next probe at {next}")
            }
            _ => match lane.and_then(|l| l.paused_until) {
                Some(until) => format!("the receiver asked to be left alone until {until}"),
                None => self.queue_text(),
            },
        }
    }

    fn queue_text(&self) -> String {
        match self.event.seq.saturating_sub(self.standing.cursor() + 1) {
            0 => "it is next".to_owned(),
            ahead => format!("at most {ahead} events are before it"),
        }
    }
}

fn delivered_text(success: &Attempt) -> String {
    match success.number {
        0 => format!("Delivered at {} by a probe.", success.at),
        number => format!("Delivered at {} with attempt {number}.", success.at),
    }
}

fn rejected_text(rejected: &Rejected) -> String {
    let status = rejected.last_status.map_or_else(String::new, |s| format!(", status {s}"));
    let detail = rejected.detail.as_deref().map_or_else(String::new, |d| format!(": {d}"));
    format!("Given up at {} after {} attempts ({}{status}){detail}.", rejected.at, rejected.attempts, rejected.reason)
}
