//! Keys that were looked up lately.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tillstream_model::Time;

use super::{Holder, lock};

/// How long a looked-up key counts before it is looked up again. A key that another process deletes works that long.
pub const CACHED_FOR: Duration = Duration::from_secs(5);
/// Most keys that are kept looked up.
pub const CACHED_KEYS: usize = 4_096;

/// Holders by the hash of their key, and when keys were used.
#[derive(Default)]
pub(super) struct Cache {
    keys: Mutex<HashMap<[u8; 32], Cached>>,
    used: Mutex<HashMap<String, Time>>,
}

struct Cached {
    holder: Arc<Holder>,
    at: Time,
}

impl Cache {
    /// Who holds the key with this hash, if that was looked up lately.
    pub(super) fn get(&self, hash: &[u8; 32], now: Time) -> Option<Arc<Holder>> {
        let keys = lock(&self.keys);
        keys.get(hash).filter(|c| is_fresh(c.at, now)).map(|c| c.holder.clone())
    }

    /// Forgets all holders, but not when they were used.
    pub(super) fn clear(&self) {
        lock(&self.keys).clear();
    }

    /// Keeps a holder for a moment. Being looked up again every [`CACHED_FOR`] also says roughly when a key was used,
    /// without a write for every request.
    pub(super) fn keep(&self, hash: [u8; 32], holder: Arc<Holder>, now: Time) {
        lock(&self.used).insert(holder.key_id.clone(), now);
        let mut keys = lock(&self.keys);
        if keys.len() >= CACHED_KEYS {
            keys.retain(|_, c| is_fresh(c.at, now));
        }
        if keys.len() >= CACHED_KEYS {
            keys.clear();
        }
        keys.insert(hash, Cached { holder, at: now });
    }

    /// Drops a key.
    pub(super) fn forget(&self, key_id: &str) {
        lock(&self.keys).retain(|_, cached| cached.holder.key_id != key_id);
        lock(&self.used).remove(key_id);
    }

    /// Drops a session.
    pub(super) fn forget_session(&self, id: &str) {
        lock(&self.keys).retain(|_, cached| cached.holder.session.as_deref() != Some(id));
    }

    /// When keys were used since the last call. Drops what doesn't count any more.
    pub(super) fn take_used(&self, now: Time) -> Vec<(String, Time)> {
        lock(&self.keys).retain(|_, c| is_fresh(c.at, now));
        lock(&self.used).drain().collect()
    }

    /// Uses that could not be written; newer ones stand.
    pub(super) fn put_back(&self, used: Vec<(String, Time)>) {
        let mut later = lock(&self.used);
        for (key, at) in used {
            later.entry(key).or_insert(at);
        }
    }
}

/// Whether what was looked up then still counts. A clock that was set back makes it stale, not eternal.
pub fn is_fresh(at: Time, now: Time) -> bool {
    at <= now && now < at + CACHED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;
    fn holder(n: u64) -> ([u8; 32], Arc<Holder>) {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        let who = crate::access::holder::key(&format!("key_{n}"), None);
        (hash, Arc::new(who))
    }

    #[test]
    fn a_cached_key_is_looked_up_again_after_a_while_or_when_the_clock_went_back() {
        let cache = Cache::default();
        let (hash, who) = holder(1);
        let now = Time::from_millis(1_000_000);
        cache.keep(hash, who, now);
        let last = now + (CACHED_FOR - Duration::from_millis(1));
        assert!(cache.get(&hash, now).is_some() && cache.get(&hash, last).is_some());
        assert!(cache.get(&hash, now + CACHED_FOR).is_none());
        assert!(cache.get(&hash, Time::from_millis(999_999)).is_none());
    }

    #[test]
    fn a_deleted_key_is_forgotten_at_once() {
        let cache = Cache::default();
        let (hash, who) = holder(1);
        cache.keep(hash, who.clone(), Time::default());
        cache.forget(&who.key_id);
        assert!(cache.get(&hash, Time::default()).is_none());
        assert_eq!(cache.take_used(Time::default()), []);
    }

    #[test]
    fn the_cache_never_grows_past_its_limit() {
        let cache = Cache::default();
        for n in 0..=CACHED_KEYS as u64 {
            let (hash, who) = holder(n);
            cache.keep(hash, who, Time::default());
            assert!(lock(&cache.keys).len() <= CACHED_KEYS);
        }
    }

    #[test]
    fn uses_are_told_once_and_those_put_back_do_not_hide_newer_ones() {
        let cache = Cache::default();
        let (hash, who) = holder(1);
        let (early, late) = (Time::from_millis(1), Time::from_millis(9));
        cache.keep(hash, who.clone(), early);
        let used = cache.take_used(early);
        assert_eq!(used, [("key_1".to_owned(), early)]);
        assert_eq!(cache.take_used(early), []);
        cache.keep(hash, who, late);
        cache.put_back(used);
        assert_eq!(cache.take_used(late), [("key_1".to_owned(), late)]);
    }
}
