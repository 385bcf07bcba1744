//! What went wrong elsewhere, as callers see it.

use tillstream_model::incoming::Unreadable;
use tillstream_store::{AppendError, StoreError};

use super::{Kind, Problem};
use crate::ingest::IngestError;

/// `Retry-After` while the log is behind: it catches up within moments.
const BEHIND_RETRY_SECONDS: u32 = 1;
/// `Retry-After` while the log can't be reached.
const UNAVAILABLE_RETRY_SECONDS: u32 = 5;
/// `Retry-After` while a company's share is full: days are dropped once a day.
const STORED_RETRY_SECONDS: u32 = 3_600;
/// `Retry-After` while the disk is full: somebody has to make room.
const DISK_FULL_RETRY_SECONDS: u32 = 30;

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        if e.away {
            let away = Problem::new(Kind::Unavailable, "the hub can't reach its database now; try again");
            return away.internally(e.to_string()).retry_after(UNAVAILABLE_RETRY_SECONDS);
        }
        if e.gone {
            return gone();
        }
        Problem::new(
            Kind::Internal,
            "the hub could not read or write its data; try again, and report the instance if it stays so",
        )
        .internally(e.to_string())
    }
}

impl From<AppendError> for Problem {
    fn from(e: AppendError) -> Self {
        match e {
            AppendError::Behind { .. } => behind().internally(e.to_string()),
            AppendError::DiskFull => disk_full(),
            AppendError::Unavailable(why) => unavailable(why),
            AppendError::Unsure(why) => unsure(why),
            AppendError::Gone => gone(),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(e: IngestError) -> Self {
        match e {
            IngestError::Unreadable(why) => {
                let kind =
                    if matches!(why, Unreadable::TooMany { .. }) { Kind::TooManyEvents } else { Kind::InvalidBody };
                Problem::new(kind, why.to_string())
            }
            IngestError::Append(e) => e.into(),
            IngestError::Sites(e) => e.into(),
            IngestError::Rate(e) => e.into(),
            IngestError::Stored { limit } => Problem::new(
                Kind::StorageLimit,
                format!("the company may have {limit} bytes in the log; nothing was kept, its oldest events make room when their retention ends"),
            )
            .retry_after(STORED_RETRY_SECONDS),
        }
    }
}

/// The request had begun before the company was deleted.
fn gone() -> Problem {
    Problem::new(Kind::NotFound, "the company was deleted; nothing was kept")
}

fn behind() -> Problem {
    Problem::new(
        Kind::Behind,
        "more events wait to be written than the log holds back; nothing was kept, send them again",
    )
    .retry_after(BEHIND_RETRY_SECONDS)
}

fn disk_full() -> Problem {
    Problem::new(Kind::DiskFull, "nothing was kept; send the events again once there is room")
        .retry_after(DISK_FULL_RETRY_SECONDS)
}

fn unavailable(why: String) -> Problem {
    Problem::new(Kind::Unavailable, "the log is not available; nothing was kept, send the events again")
        .internally(why)
        .retry_after(UNAVAILABLE_RETRY_SECONDS)
}

fn unsure(why: String) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "the database was lost in the middle of a commit, so the events may be kept or not; send them again under the \
         same ids, then none is kept twice",
    )
    .internally(why)
    .retry_after(UNAVAILABLE_RETRY_SECONDS)
}
