//! The reckoning: what producers were told against what receivers saw.

use std::collections::{HashMap, HashSet};

use crate::producer::REFUSED_ENTITY;
use crate::receiver::Delivery;

/// What became of the events at one integration.
pub struct Outcome {
    /// Its id.
    pub integration: &'static str,
    /// How often each event was answered with success.
    pub accepted: HashMap<String, u32>,
    /// Events listed as rejected.
    pub rejected: HashSet<String>,
}

/// Events that producers were told are kept: id, entity and version.
pub type Promised = HashMap<String, (String, u64)>;

impl Outcome {
    /// Promised events that were neither delivered nor listed as rejected.
    pub fn missing(&self, promised: &Promised) -> Vec<String> {
        let settled = |id: &String| self.accepted.contains_key(id) || self.rejected.contains(id);
        promised.keys().filter(|id| !settled(id)).cloned().collect()
    }

    /// Successful deliveries beyond the first of each event.
    pub fn duplicates(&self) -> u32 {
        self.accepted.values().map(|times| times - 1).sum()
    }

    /// Fails when anything arrived, in this order, that nobody was promised, or when an entity went backwards or skipped a version.
    pub fn assert_only_promised_and_in_order(&self, deliveries: &[Delivery], promised: &Promised) {
        let mut newest: HashMap<String, u64> = HashMap::new();
        for delivery in deliveries {
            let (entity, version) = delivery.version();
            let known = promised.get(delivery.id());
            assert_eq!(known, Some(&(entity.clone(), version)), "{}: not promised: {delivery:?}", self.integration);
            assert_ne!(entity, REFUSED_ENTITY);
            let before = newest.insert(entity.clone(), version).unwrap_or_default();
            assert!(
                version == before || version == before + 1,
                "{}: {entity} went from {before} to {version} at {:?} ({})",
                self.integration,
                delivery.at,
                delivery.path
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;

    use super::*;

    fn delivery(entity: &str, version: u64) -> Delivery {
        let mut headers = http::HeaderMap::new();
        headers.insert("webhook-id", format!("evt_{entity}{version}").parse().unwrap());
        let body = json!({"data": {"_id": entity, "version": version}}).to_string().into();
        Delivery { at: Instant::now(), path: "/it".to_owned(), headers, body }
    }

    /// Fails as the reckoning does when these versions of one entity came, of three that were promised.
    fn came(versions: &[u64]) {
        let promised = (1..=3).map(|v| (format!("evt_a{v}"), ("a".to_owned(), v))).collect();
        let deliveries: Vec<_> = versions.iter().map(|v| delivery("a", *v)).collect();
        let outcome = Outcome { integration: "it", accepted: HashMap::new(), rejected: HashSet::new() };
        outcome.assert_only_promised_and_in_order(&deliveries, &promised);
    }

    #[test]
    fn repeating_the_newest_is_no_step_back() {
        came(&[1, 1, 2, 2, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "went from 2 to 1")]
    fn a_step_back_is_found() {
        came(&[1, 2, 1]);
    }

    #[test]
    #[should_panic(expected = "went from 1 to 3")]
    fn a_gap_is_found() {
        came(&[1, 3]);
    }

    #[test]
    #[should_panic(expected = "not promised")]
    fn what_nobody_was_promised_is_found() {
        came(&[1, 2, 3, 4]);
    }

    #[test]
    fn what_is_missing_and_what_came_twice_is_counted() {
        let promised = (1..=3).map(|v| (format!("evt_a{v}"), ("a".to_owned(), v))).collect();
        let accepted = HashMap::from([("evt_a1".to_owned(), 3)]);
        let rejected = HashSet::from(["evt_a2".to_owned()]);
        let outcome = Outcome { integration: "it", accepted, rejected };
        assert_eq!((outcome.missing(&promised), outcome.duplicates()), (vec!["evt_a3".to_owned()], 2));
    }
}
