//! What the engines have in common: appends on their way to a writer, the newest events in memory, and how things are
//! spelled at rest.

pub(crate) mod caller;
pub(crate) mod closed;
pub(crate) mod event;
pub(crate) mod held;
pub(crate) mod place;
pub(crate) mod postings;
pub(crate) mod queue;
pub(crate) mod segment;
pub(crate) mod settled;
pub(crate) mod tail;
pub(crate) mod transfer;

use tillstream_model::CompanyNo;

use crate::{Gone, StoreError};

/// Stands for the instance where a company's number is stored; companies are numbered from 1.
pub(crate) const INSTANCE: CompanyNo = CompanyNo(0);

/// Bytes of events kept in memory for readers that are up to date.
pub const DEFAULT_TAIL_BYTES: usize = 32 << 20;
/// Bytes of events that may wait to be written; over it an append is answered "behind".
pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

/// What goes wrong inside an engine; its calls add what was tried.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A cause that goes away by itself: the server can't be reached, or does not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Away(pub(crate) String);

/// The error of a call for which this went wrong.
pub(crate) fn failed(tried: impl Into<String>, cause: &Cause) -> StoreError {
    StoreError { tried: tried.into(), cause: cause.to_string(), away: cause.is::<Away>(), gone: cause.is::<Gone>() }
}

/// Says what was tried.
pub(crate) fn tried<T>(what: &str, result: Result<T, Cause>) -> Result<T, StoreError> {
    result.map_err(|cause| failed(what, &cause))
}
