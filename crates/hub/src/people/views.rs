//! Who looked at which payload lately, so that the audit has each look once an hour.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tillstream_model::Time;

/// A look at the same thing by the same person is noted again after so long.
pub const AGAIN_AFTER: Duration = Duration::from_secs(3_600);
/// Most looks that are remembered; when they are more, all are forgotten and may be noted a second time.
pub const MAX_KNOWN: usize = 50_000;

/// Looks that were noted.
#[derive(Default)]
pub struct Views(Mutex<HashMap<(String, String), Time>>);

impl Views {
    /// Whether this look is to be noted: the first of this person at this thing for an hour.
    pub fn is_first(&self, person: &str, thing: &str, now: Time) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: &Time| *at <= now && now < *at + AGAIN_AFTER;
        let key = (person.to_owned(), thing.to_owned());
        if known.get(&key).is_some_and(lately) {
            return false;
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, at| lately(at));
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_noted_once_an_hour_for_each_person_and_thing() {
        let views = Views::default();
        let now = Time::from_millis(10_000_000);
        assert!(views.is_first("ada", "evt_1", now) && !views.is_first("ada", "evt_1", now));
        assert!(views.is_first("ada", "evt_2", now) && views.is_first("bob", "evt_1", now));
        assert!(!views.is_first("ada", "evt_1", now + (AGAIN_AFTER - Duration::from_millis(1))));
        assert!(views.is_first("ada", "evt_1", now + AGAIN_AFTER));
    }

    #[test]
    fn what_is_remembered_never_grows_past_its_limit() {
        let views = Views::default();
        for n in 0..=MAX_KNOWN {
            assert!(views.is_first("ada", &n.to_string(), Time::default()));
            assert!(views.0.lock().unwrap().len() <= MAX_KNOWN);
        }
    }
}
