//! What the hub does by the clock: it reads the state and does what is due, and takes no input.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Hub, people};

/// How often metrics are folded, statistics and sites that were heard from noted, and authorizations whose time has come
/// saved.
const METRICS_EVERY: Duration = Duration::from_secs(5);
/// How often cursors of sleeping lanes are saved, uses of keys noted and old rows looked for.
const ROUND_EVERY: Duration = Duration::from_secs(30);
/// How often sessions and links that have ended are looked for.
const SESSIONS_EVERY: Duration = Duration::from_secs(3_600);
/// How long one segment may wait for its lanes to list what they have not sent, before the next round goes on with it.
const EXPIRE_PATIENCE: Duration = Duration::from_secs(60);

/// Runs until the hub ends.
pub(crate) async fn run(hub: Hub, ending: CancellationToken) {
    let mut metrics = tokio::time::interval(METRICS_EVERY);
    let mut rounds = tokio::time::interval(ROUND_EVERY);
    let mut sessions = tokio::time::interval(SESSIONS_EVERY);
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = metrics.tick() => {
                hub.deliver().gauge();
                hub.metrics().meters.streams_open.set(hub.live().followers() as f64);
                hub.metrics().upkeep();
                hub.metrics().meters.statistics.flush(hub.state()).await;
                hub.sites().flush(hub.now()).await;
                hub.terminals().flush(hub.sites(), hub.now()).await;
                hub.usage().flush().await;
                spread_limits(&hub).await;
                if let Err(e) = hub.deliver().take_over_authorizations(hub.now()).await {
                    tracing::warn!(error = %e, "what has taken over could not be saved; trying again soon");
                }
            }
            _ = rounds.tick() => round(&hub).await,
            _ = sessions.tick() => {
                if let Err(e) = people::sweep(hub.state(), hub.now()).await {
                    tracing::warn!(error = %e, "ended sessions could not be removed; trying again in an hour");
                }
            }
        }
    }
}

/// Each node allows its share of what companies and keys may send.
async fn spread_limits(hub: &Hub) {
    match hub.stores().nodes.all().await {
        Ok(nodes) => hub.ingest().rates().spread_over(nodes.iter().filter(|n| n.is_alive).count()),
        Err(e) => tracing::warn!(error = %e, "nodes could not be counted; limits are spread as before"),
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
        hub.stores().index.drop_unused().await?;
        tracing::info!(segment = segment.name, "dropped events whose retention has passed");
    }
    Ok(())
}
