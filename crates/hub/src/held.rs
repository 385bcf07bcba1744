//! Events of sites that nobody knows, where the company wants them held (`docs/decisions/0031-events-of-unknown-sites.md`).

use tillstream_model::Content;
use tillstream_store::ReadLimit;
use tillstream_store::held::{HeldEvent, HeldLimits};

/// How much is held of a company; then its events of unknown sites are refused.
pub const LIMITS: HeldLimits = HeldLimits { events: 100_000, bytes: 256 << 20, sites: 1_000 };
/// Held events that are released or removed at once.
pub const AT_ONCE: ReadLimit = ReadLimit { events: 500, bytes: 4 << 20 };

/// What a held event says, under an idempotency id: its own, or one that is made of its place among the held ones, so
/// that a release that broke off appends nothing twice when it is repeated.
pub fn to_append(event: &HeldEvent) -> Content {
    let mut content = event.content.clone();
    if content.caller_id.is_none() {
        content.caller_id = Some(format!("held:{}:{}", event.at.millis(), event.id).into());
    }
    content
}
