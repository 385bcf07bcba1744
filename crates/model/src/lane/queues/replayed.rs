//! The turn of entities of which a replay is sending an event.

use super::Queues;
use crate::Seq;
use crate::event::EntityKey;

/// Stands in an entity's line for the replayed event.
const REPLAYED: Seq = Seq::MAX;

impl<T> Queues<T> {
    /// Whether nobody has the entity's turn.
    pub fn is_free(&self, key: EntityKey) -> bool {
        self.lines.get(&key).is_none_or(|line| line.holder.is_none())
    }

    /// Takes the turn of an entity that is free; what comes of it waits until [`Queues::unhold`].
    pub fn hold(&mut self, key: EntityKey) {
        let line = self.lines.entry(key).or_default();
        line.holder = Some(REPLAYED);
        if let Some(due) = line.due.take() {
            self.due.remove(&due);
        }
    }

    /// Gives an entity's turn back.
    pub fn unhold(&mut self, key: EntityKey) {
        if let Some(line) = self.lines.get_mut(&key).filter(|line| line.holder == Some(REPLAYED)) {
            line.holder = None;
            self.promote(key);
        }
    }
}
