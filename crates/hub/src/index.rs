//! The event index: a cursor over every company's log, behind its writer. One node does it, the one that holds the
//! first bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tillstream_model::lookup::keys;
use tillstream_model::{CompanyNo, Event, Seq};
use tillstream_store::index::Entry;
use tillstream_store::{Bell, ReadLimit, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Hub;

/// Events that are written to the index at once.
pub const FLUSH_EVENTS: usize = 8_192;
/// Pause after a round that left nothing; so long new events are looked through one by one.
const ROUND_EVERY: Duration = Duration::from_secs(5);
/// While there is more to do, the index rests so many times as long as it worked: ingest and delivery come first …
const REST: u32 = 15;
/// … and so many times when it is further behind than [`FAR_BEHIND`].
const SHORT_REST: u32 = 3;
/// Until then what is not indexed is looked through one by one without anybody minding.
const FAR_BEHIND: Duration = Duration::from_secs(10 * 60);
/// What is read from a company's log at once.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };

/// Indexes what comes until the hub ends. `grown` rings for every company whose log has grown.
pub(crate) async fn run(hub: Hub, grown: Arc<Bell>, ending: CancellationToken) {
    let mut cursor: Option<Cursor> = None;
    loop {
        let started = Instant::now();
        let done = tokio::select! {
            () = ending.cancelled() => return,
            done = round(&hub, &mut cursor) => done,
        };
        let pause = match done {
            Ok(Some(behind)) => started.elapsed() * rest(behind),
            Ok(None) => ROUND_EVERY,
            Err(e) => {
                tracing::warn!(error = %e, "events could not be indexed; trying again");
                cursor = None;
                ROUND_EVERY
            }
        };
        tokio::select! {
            () = ending.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let idle = cursor.as_ref().is_none_or(|c| c.waiting.is_empty());
        let rung = tokio::select! {
            () = ending.cancelled() => return,
            rung = grown.wait() => rung,
            () = std::future::ready(()), if !idle => BTreeSet::new(),
            () = tokio::time::sleep(ROUND_EVERY) => BTreeSet::new(),
        };
        if let Some(cursor) = &mut cursor {
            cursor.waiting.extend(rung);
        }
    }
}

/// What is known of how far the index is. Made anew when another node may have gone on with it.
#[derive(Default)]
struct Cursor {
    /// Companies whose log may have grown.
    waiting: BTreeSet<CompanyNo>,
    reached: BTreeMap<CompanyNo, Seq>,
}

fn rest(behind: Duration) -> u32 {
    if behind < FAR_BEHIND { REST } else { SHORT_REST }
}

/// Indexes some of what waits; how far it is behind when there is more to do.
async fn round(hub: &Hub, cursor: &mut Option<Cursor>) -> Result<Option<Duration>, StoreError> {
    if !hub.deliver().leads() {
        *cursor = None;
        return Ok(None);
    }
    let cursor = match cursor {
        Some(cursor) => cursor,
        None => {
            let all = hub.state().companies().await?.into_iter().map(|c| c.no).collect();
            cursor.insert(Cursor { waiting: all, reached: BTreeMap::new() })
        }
    };
    let mut entries = Vec::new();
    while entries.len() < FLUSH_EVENTS
        && let Some(company) = cursor.waiting.first().copied()
    {
        let after = cursor.reached(hub, company).await?;
        let events = hub.log().read(company, after, READ).await?;
        match events.last() {
            Some(last) => drop(cursor.reached.insert(company, last.seq)),
            None => drop(cursor.waiting.pop_first()),
        }
        entries.extend(events.iter().map(|e| entry(e)));
    }
    let full = entries.len() >= FLUSH_EVENTS;
    let behind = entries.last().map_or(Duration::ZERO, |last| hub.now().since(last.accepted_at));
    if !entries.is_empty() {
        hub.stores().index.add(entries).await?;
    }
    let merged = hub.stores().index.merge().await?;
    Ok((full || merged).then_some(behind))
}

impl Cursor {
    /// How far a company is indexed, this round's events included. What was dropped of the log is passed.
    async fn reached(&self, hub: &Hub, company: CompanyNo) -> Result<Seq, StoreError> {
        let floor = hub.log().floor(company).await?;
        match self.reached.get(&company) {
            Some(reached) => Ok((*reached).max(floor)),
            None => hub.stores().index.reached(company, floor).await,
        }
    }
}

fn entry(event: &Event) -> Entry {
    let keys = keys(&event.content).into_iter().collect();
    Entry { company: event.company, seq: event.seq, accepted_at: event.accepted_at, keys }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_is_far_behind_rests_less() {
        assert_eq!(rest(Duration::ZERO), REST);
        assert_eq!(rest(FAR_BEHIND - Duration::from_millis(1)), REST);
        assert_eq!(rest(FAR_BEHIND), SHORT_REST);
    }
}
