//! What one engine gives and another takes when a hub moves: rows of the tables that both have, under the same names.

use tillstream_model::{CompanyNo, Epochs, Seq};
use tokio::sync::mpsc;

use super::segment::SegmentId;
use super::tail::Summary;

/// Rows that are handed over at once.
pub(crate) const CHUNK_ROWS: usize = 500;
/// Chunks that may wait.
pub(crate) const CHUNKS: usize = 8;

/// Whose the rows of a table of the state are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// They are the companies.
    Companies,
    /// A company's, by the column `company` and these columns, which name a row among its own and have an index with
    /// it. They go with it.
    Company(&'static str),
    /// A company's integrations.
    Integrations,
    /// An integration's, by the column `integration`. They go with it.
    Integration,
    /// The instance's; they stay.
    Instance,
}

/// Tables of the state: they move as they are, in this order, and what they have of a company goes with it.
pub(crate) const STATE: &[(&str, Whose)] = &[
    ("companies", Whose::Companies),
    ("gone", Whose::Instance),
    ("keys", Whose::Company("created_at, id")),
    ("integrations", Whose::Integrations),
    ("versions", Whose::Integration),
    ("lanes", Whose::Integration),
    ("parked", Whose::Integration),
    ("replays", Whose::Integration),
    ("rejected", Whose::Integration),
    ("entries", Whose::Integration),
    ("leftovers", Whose::Integration),
    ("documents", Whose::Company("kind, id")),
    ("audit", Whose::Company("id")),
    ("usage", Whose::Company("day, retention")),
    ("answers", Whose::Company("id")),
    ("held", Whose::Company("site, id")),
    ("held_sites", Whose::Company("site")),
    ("statistics", Whose::Company("resolution, at")),
];

/// The names of [`STATE`].
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    STATE.iter().map(|(table, _)| *table)
}

/// The tables with rows of companies, each with what names a row among those of its company.
pub(crate) fn of_companies() -> impl Iterator<Item = (&'static str, &'static str)> {
    STATE.iter().filter_map(|(table, whose)| match whose {
        Whose::Company(key) => Some((*table, *key)),
        _ => None,
    })
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    /// About how many bytes it takes, for progress.
    pub(crate) fn size(&self) -> usize {
        match self {
            Cell::Null | Cell::Integer(_) => size_of::<i64>(),
            Cell::Text(text) => text.len(),
            Cell::Bytes(bytes) => bytes.len(),
        }
    }

    /// The number, if it is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

/// A row, in the order of the columns that were named.
pub(crate) type Row = Vec<Cell>;

/// Rows that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A table of [`STATE`].
    State(&'static str),
    /// The events of a segment, by company and seq.
    Events(SegmentId),
    /// The idempotency ids of a segment.
    Ids(SegmentId),
    /// The attempts of a day.
    Attempts(i64),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::State(table) => f.write_str(table),
            Part::Events(id) => write!(f, "events {}", id.name()),
            Part::Ids(id) => write!(f, "idempotency ids {}", id.name()),
            Part::Attempts(day) => write!(f, "attempts {}", super::segment::day_name(*day)),
        }
    }
}

/// A part as it comes.
pub(crate) struct Stream {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: mpsc::Receiver<Vec<Row>>,
}

/// Consecutive events of a company in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stretch {
    pub(crate) company: CompanyNo,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) segment: SegmentId,
}

/// What holds for the whole and is in no row.
pub(crate) struct Ends {
    /// Every company's log.
    pub(crate) logs: Vec<(CompanyNo, Summary)>,
    /// The highest number that was ever given out in each table that numbers its rows.
    pub(crate) numbers: Vec<(String, i64)>,
    /// The log's epochs.
    pub(crate) epochs: Epochs,
}
