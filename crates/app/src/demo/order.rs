//! Whether each entity's events arrive in order.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Entities that are remembered at least; the memory holds twice as many at most. An entity that was quiet while so
/// many others came is finished business.
const GENERATION: usize = 50_000;

/// A position as deliveries carry it: epoch and seq.
pub type Position = (u64, u64);

/// Remembers the newest position of each entity.
#[derive(Default)]
pub struct OrderCheck {
    young: HashMap<u64, Position>,
    old: HashMap<u64, Position>,
}

impl OrderCheck {
    /// Notes an event of an entity. False: the entity went backwards. Its newest event may come again.
    pub fn saw(&mut self, entity: &str, id: &str, position: Position) -> bool {
        let mut hasher = DefaultHasher::new();
        (entity, id).hash(&mut hasher);
        let key = hasher.finish();
        let newest = self.young.get(&key).or_else(|| self.old.get(&key)).copied().unwrap_or_default();
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, newest.max(position));
        position >= newest
    }
}

/// Reads `<epoch>-<seq>`.
pub fn position(text: &str) -> Option<Position> {
    let (epoch, seq) = text.split_once('-')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_may_repeat_its_newest_event_and_never_go_back() {
        let mut check = OrderCheck::default();
        assert!(check.saw("order", "a", (1, 5)));
        assert!(check.saw("order", "a", (1, 5)));
        assert!(check.saw("order", "b", (1, 2)), "another entity");
        assert!(check.saw("punch", "a", (1, 2)), "another kind of entity");
        assert!(!check.saw("order", "a", (1, 4)));
        assert!(check.saw("order", "a", (2, 1)), "a new epoch");
        assert!(!check.saw("order", "a", (1, 9)));
    }

    #[test]
    fn an_entity_is_remembered_while_fewer_than_a_generation_of_others_come() {
        let mut check = OrderCheck::default();
        check.saw("order", "first", (1, 10));
        for n in 1..GENERATION {
            check.saw("order", &n.to_string(), (1, 20));
        }
        assert!(!check.saw("order", "first", (1, 9)));
        for n in 0..3 * GENERATION {
            check.saw("punch", &n.to_string(), (1, 20));
        }
        assert!(check.young.len() + check.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn a_position_is_an_epoch_and_a_seq() {
        assert_eq!(position("1-42"), Some((1, 42)));
        for wrong in ["", "42", "1-", "-1", "a-b", "1-2-3"] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }
}
