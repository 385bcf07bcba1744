//! The reckoning: what producers were told against what receivers saw.

use std::collections::{HashMap, HashSet};

use crate::producer::REFUSED_ENTITY;
use crate::receiver::Delivery;

/// What became of the events at one integration.
pub struct Outcome {
    /// Its id.
    pub integration: &'static str,
    /// Every delivery, in the order it came.
    pub deliveries: Vec<Delivery>,
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

    /// Fails when anything arrived that nobody was promised, or when an entity went backwards or skipped a version.
    pub fn assert_only_promised_and_in_order(&self, promised: &Promised) {
        let mut newest: HashMap<String, u64> = HashMap::new();
        for delivery in &self.deliveries {
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
