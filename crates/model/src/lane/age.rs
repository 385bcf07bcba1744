//! How long the oldest event of a lane has waited.

use super::Lane;
use crate::Time;

impl<T> Lane<T> {
    /// When the oldest event was accepted that is taken, or on its way for the first time. Parked ones don't count: they
    /// wait for an attempt of their own, and the lane goes on without them.
    pub fn oldest(&self) -> Option<Time> {
        let under_way = self.slots.values().filter(|slot| slot.waiting.is_none()).map(|slot| slot.accepted_at);
        under_way.chain(self.queues.oldest_live()).min()
    }
}
