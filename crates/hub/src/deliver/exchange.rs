//! How an exchange with a receiver ended, whatever the target.

use std::time::Duration;

use tillstream_model::verdict::Verdict;
use tillstream_store::state::Failure;

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
    /// The event never left.
    pub(crate) unsent: bool,
}
