//! Handing out events.

use std::time::Duration;

use bytes::Bytes;
use tillstream_model::selection::wants;
use tillstream_model::{Event, Seq};
use tillstream_store::state::Integration;
use tillstream_store::{ReadLimit, StoreError};
use tokio::time::Instant;

use crate::deliver::Deliver;
use crate::deliver::message::Messages;

/// What is read from the log at once.
const READ: ReadLimit = ReadLimit { events: 512, bytes: 1 << 20 };
/// Events that are looked at for one answer, wanted or not.
const LOOKED_EVENTS: usize = 20_000;
/// An answer ends after the event that reaches this many bytes.
pub const HANDED_BYTES: usize = 4 << 20;
/// How often a consumer that waits is looked after; nothing is read meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Events that are handed out.
#[derive(Debug, Default)]
pub struct Handed {
    /// Bodies in the integration's format.
    pub items: Vec<Bytes>,
    /// Everything up to here was looked at.
    pub next: Seq,
}

impl Deliver {
    /// Hands out what an integration wants after a position: at most `limit` events. Waits for the first one.
    pub async fn hand_out(
        &self,
        integration: &Integration,
        after: Seq,
        limit: usize,
        wait: Duration,
    ) -> Result<Handed, StoreError> {
        let until = Instant::now() + wait;
        let company = self.0.name(integration.company).await?;
        let messages = Messages::new(integration.settings.clone(), &company, self.0.stores.epochs.current());
        let mut handed = Handed { items: Vec::new(), next: after };
        loop {
            self.look_on(integration, &messages, limit, &mut handed).await?;
            if !handed.items.is_empty() || !self.something_new(integration, handed.next, until).await {
                return Ok(handed);
            }
        }
    }

    async fn look_on(
        &self,
        integration: &Integration,
        messages: &Messages,
        limit: usize,
        handed: &mut Handed,
    ) -> Result<(), StoreError> {
        let (mut bytes, mut looked) = (0, 0);
        while looked < LOOKED_EVENTS {
            let events = self.0.stores.log.read(integration.company, handed.next, READ).await?;
            if events.is_empty() {
                return Ok(());
            }
            looked += events.len();
            for event in events {
                handed.next = event.seq;
                if wants(&integration.settings, &event).is_ok() {
                    bytes += take(messages, &event, handed);
                }
                if handed.items.len() >= limit || bytes >= HANDED_BYTES {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits until events came after a position; false when the time is over.
    async fn something_new(&self, integration: &Integration, after: Seq, until: Instant) -> bool {
        let routes = self.0.routes.company(integration.company);
        while Instant::now() < until && !self.0.ending.is_cancelled() {
            if routes.routed() > after {
                return true;
            }
            tokio::time::sleep_until(until.min(Instant::now() + LOOK_EVERY)).await;
        }
        false
    }
}

fn take(messages: &Messages, event: &Event, handed: &mut Handed) -> usize {
    let body = messages.body(event);
    let bytes = body.len();
    handed.items.push(body);
    bytes
}
