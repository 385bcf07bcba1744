//! What became of events at an integration, many at once.

use tillstream_model::{EventId, Ranges, Seq, Time};

/// Which events: those at the positions from `first` to `last`. Their ids lie from `lowest` to `highest`.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The first position.
    pub first: Seq,
    /// The last position.
    pub last: Seq,
    /// The lowest id of them.
    pub lowest: EventId,
    /// The highest id of them.
    pub highest: EventId,
}

/// What is known of the events of a [`Stretch`] at one integration.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// The lane's saved cursor: everything up to here is settled or parked.
    pub cursor: Seq,
    /// Positions after the cursor that are settled or parked already.
    pub settled: Ranges,
    /// What was tried, by position.
    pub tried: Vec<Tried>,
    /// What waits, by position.
    pub parked: Vec<Waits>,
    /// What is listed as rejected, by event id.
    pub rejected: Vec<GivenUp>,
}

/// The attempts of one event together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The event's position.
    pub seq: Seq,
    /// How many attempts are kept, probes included.
    pub attempts: u64,
    /// When the last one started.
    pub last_at: Time,
    /// When the first one started that succeeded.
    pub delivered_at: Option<Time>,
}

/// An event that waits for its next attempt, or behind one of its entity that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Its position.
    pub seq: Seq,
    /// Attempts so far that counted.
    pub attempts: u32,
    /// When the next one is due.
    pub next_at: Time,
    /// Status of the last answer, if one came.
    pub last_status: Option<u16>,
    /// What went wrong last; None for an event that only waits behind another.
    pub last_error: Option<String>,
}

/// An event that is listed as rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Which one.
    pub event: EventId,
    /// When it was given up.
    pub at: Time,
    /// As in [`super::Rejected::reason`].
    pub reason: String,
    /// Status of the last answer, if one came.
    pub last_status: Option<u16>,
}
