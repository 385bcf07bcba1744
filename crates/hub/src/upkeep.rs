//! What the hub does by the clock: it reads the state and does what is due, and takes no input.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Hub;

/// How often metrics are folded and sites that were heard from noted.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often cursors of sleeping lanes are saved, uses of keys noted and old rows looked for.
const ROUND_EVERY: Duration = Duration::from_secs(30);
/// How long one segment may wait for its lanes to list what they have not sent, before the next round goes on with it.
const EXPIRE_PATIENCE: Duration = Duration::from_secs(60);

/// Runs until the hub ends.
pub(crate) async fn run(hub: Hub, ending: CancellationToken) {
    let mut metrics = tokio::time::interval(METRICS_EVERY);
    let mut rounds = tokio::time::interval(ROUND_EVERY);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = metrics.tick() => {
                hub.deliver().gauge();
                hub.metrics().upkeep();
                hub.sites().flush(hub.now()).await;
            }
            _ = rounds.tick() => round(&hub).await,
        }
    }
}

pub(crate) async fn round(hub: &Hub) {
    hub.access().flush_used(hub.now()).await;
    hub.deliver().save_sleeping_cursors().await;
    if let Err(e) = hub.deliver().reconcile().await {
        tracing::warn!(error = %e, "lanes could not be held against what is saved; trying again in the next round");
    }
    if let Err(e) = hub.state().sweep(hub.now()).await {
        tracing::warn!(error = %e, "old rows could not be removed; trying again in the next round");
    }
    crate::notify::upkeep(hub).await;
    if let Err(e) = drop_due_segments(hub).await {
        tracing::warn!(error = %e, "old events could not be dropped; trying again in the next round");
    }
}

/// Drops segments whose retention has passed, after every running lane has listed what it had not settled in them.
async fn drop_due_segments(hub: &Hub) -> tillstream_store::Result<()> {
    for segment in hub.log().due(hub.now()).await? {
        let expired = hub.deliver().expire(&segment.companies);
        let all = match tokio::time::timeout(EXPIRE_PATIENCE, expired).await {
            Ok(all) => all?,
            Err(_) => false,
        };
        if !all {
            tracing::warn!(segment = segment.name, "lanes are still listing expired events; the segment stays");
            continue;
        }
        hub.log().drop_segment(&segment.name).await?;
        tracing::info!(segment = segment.name, "dropped events whose retention has passed");
    }
    Ok(())
}
