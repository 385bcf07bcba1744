//! Waiting for what is true in the end, never for a time to pass.

use std::time::{Duration, Instant};

/// Long enough for anything that should happen by itself, also on a busy machine; nobody waits for all of it.
pub const SOON: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `check` gives something. Fails, naming `what`, when that takes longer than `deadline`.
pub async fn eventually<T>(what: &str, deadline: Duration, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
