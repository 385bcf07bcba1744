//! An event of an inbox is delivered as soon as its turn comes: the row of its attempt is all that is kept of it, and
//! the API renders the event again from the log.

use std::time::Duration;

use tillstream_model::verdict::Verdict;

use crate::deliver::exchange::Exchange;

/// Takes an event.
pub(crate) fn send() -> Exchange {
    Exchange {
        verdict: Verdict::Delivered,
        status: None,
        detail: String::new(),
        failure: None,
        elapsed: Duration::ZERO,
        switch_off: false,
        unsent: false,
    }
}
