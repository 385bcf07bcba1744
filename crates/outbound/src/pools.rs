//! A bounded map of things that callers share and hold on to.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Gives every caller of the same key the same value, and keeps at most `max` values.
///
/// When it is full, the values that nobody holds are dropped. When all are held, a further key gets a value of its own
/// that is not kept: it works, but is not shared.
#[derive(Debug)]
pub(crate) struct Pools<K, V> {
    kept: Mutex<HashMap<K, Arc<V>>>,
    max: usize,
}

impl<K: Eq + Hash, V> Pools<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { kept: Mutex::default(), max }
    }

    /// The value of `key`, made now if there is none. `make` must be quick: it runs under the lock.
    pub(crate) fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = kept.get(&key) {
            return Arc::clone(value);
        }
        if kept.len() >= self.max {
            kept.retain(|_, value| Arc::strong_count(value) > 1);
        }
        let value = Arc::new(make());
        if kept.len() < self.max {
            kept.insert(key, Arc::clone(&value));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(pools: &Pools<u32, u32>) -> usize {
        pools.kept.lock().unwrap().len()
    }

    #[test]
    fn the_same_key_gets_the_same_value() {
        let pools = Pools::new(2);
        let first = pools.get(1, || 10);
        let again = pools.get(1, || 11);
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn at_the_limit_only_values_that_nobody_holds_are_dropped() {
        let pools = Pools::new(2);
        let held = pools.get(1, || 10);
        drop(pools.get(2, || 20));
        assert_eq!(len(&pools), 2);

        let newest = pools.get(3, || 30);
        assert_eq!(len(&pools), 2);
        assert_eq!(*pools.get(1, || 99), *held);
        assert_eq!(*pools.get(3, || 99), *newest);
    }

    #[test]
    fn past_the_limit_a_value_works_but_is_not_kept() {
        let pools = Pools::new(1);
        let _held = pools.get(1, || 10);
        let extra = pools.get(2, || 20);
        assert_eq!(*extra, 20);
        assert_eq!(len(&pools), 1);
    }
}
