//! What an answer rests on.

use std::time::Duration;

use crate::Time;

/// Delivered later than this after its acceptance counts as late (`contracts/event-stream.md`, "Webhook answers").
pub const LATE_AFTER: Duration = Duration::from_secs(15 * 60);
/// A site that says nothing of its own counts as silent after so long.
pub const SILENT_AFTER: Duration = Duration::from_secs(60 * 60);

/// Everything that is known of a question.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When the question is answered.
    pub now: Time,
    /// The company is suspended.
    pub suspended: bool,
    /// The site that was asked about.
    pub site: Option<Site>,
    /// What came of what was asked about.
    pub received: Received,
    /// The company has no integration at all that could be asked about.
    pub no_integrations: bool,
    /// One integration and what became of the events there; None when it is only asked what came.
    pub lane: Option<Lane>,
}

/// A site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Its id.
    pub id: String,
    /// Somebody or some event has named it before.
    pub known: bool,
    /// When it was last heard from.
    pub last_heard: Option<Time>,
    /// After how long it counts as silent; None: [`SILENT_AFTER`].
    pub silent_after: Option<Duration>,
}

impl Site {
    /// Whether it was heard from, but not for too long.
    pub fn is_silent(&self, now: Time) -> bool {
        let after = self.silent_after.unwrap_or(SILENT_AFTER);
        self.last_heard.is_some_and(|last| now.since(last) >= after)
    }
}

/// Events that came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// How many.
    pub count: u64,
    /// When the last one was accepted.
    pub last_at: Option<Time>,
}

/// One integration, and what became of the events there.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Its id.
    pub id: String,
    /// Set when it does not run.
    pub stopped: Option<Change>,
    /// What holds its lane up.
    pub held_up: Option<HeldUp>,
    /// What became of the events.
    pub counts: Counts,
}

/// Who did something, when and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// `key <id>`, `user <id>`, `command line <user>` or `system`.
    pub by: String,
    /// When.
    pub at: Time,
    /// The reason that was given.
    pub reason: Option<String>,
}

/// What holds a lane up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldUp {
    /// The receiver fails; one probe at a time.
    Circuit {
        /// Since when.
        since: Time,
        /// When the next probe is due.
        next_probe: Time,
    },
    /// The receiver refuses nearly everything; one probe at a time.
    Brake {
        /// Since when.
        since: Time,
    },
    /// The receiver asked to be left alone.
    Paused {
        /// Until when.
        until: Time,
    },
    /// As many events are parked as may be; it reads no further.
    Full {
        /// How many.
        parked: u64,
    },
}

/// What became of events at an integration.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// The receiver has them.
    pub delivered: u64,
    /// Of these, later than [`LATE_AFTER`].
    pub late: u64,
    /// Wait for their next attempt.
    pub retrying: u64,
    /// Wait behind an earlier event of their entity.
    pub behind: u64,
    /// Their turn has not come.
    pub queued: u64,
    /// Given up, by reason and last status.
    pub rejected: Vec<GivenUp>,
    /// Not wanted, by rule.
    pub unwanted: Vec<No>,
    /// Accepted before the integration begins.
    pub before_start: u64,
    /// Their payload was deleted before they were sent.
    pub deleted: u64,
    /// Done with, and nothing is kept of how.
    pub settled: u64,
    /// When the next attempt is due.
    pub next_try: Option<Time>,
    /// Status of the last failed attempt of what is tried again, if an answer came.
    pub last_status: Option<u16>,
    /// What went wrong with it.
    pub last_error: Option<String>,
}

impl Counts {
    /// Events that are still to be sent.
    pub fn pending(&self) -> u64 {
        self.retrying + self.behind + self.queued
    }

    pub(super) fn rejections(&self) -> u64 {
        self.rejected.iter().map(|r| r.count).sum()
    }
}

/// Events that were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// `rejected`, `attempts_exhausted`, `expired`, `transform_failed`.
    pub reason: String,
    /// Status of the last answer, if one came.
    pub status: Option<u16>,
    /// How many.
    pub count: u64,
}

/// Events that a rule keeps back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct No {
    /// The rule's place in the settings: `events`, `availability` or `events.where[0]`.
    pub rule: String,
    /// How many.
    pub count: u64,
    /// Who set it, and when.
    pub set: Option<Change>,
}
