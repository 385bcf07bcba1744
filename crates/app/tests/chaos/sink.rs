//! Receivers with moods, and what they said to each delivery.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::receiver::{Delivery, Reply};

/// Slowest answer of a receiver that is only slow.
const SLOWEST: Duration = Duration::from_millis(40);
/// Size of the page that a failing receiver sends along.
const PAGE_BYTES: usize = 20_000;

/// A receiver's dice and its memory of what it accepted.
pub struct Sink {
    dice: Mutex<StdRng>,
    /// How often each event was answered with success.
    accepted: Mutex<HashMap<String, u32>>,
    /// Whether some events are refused for good.
    picky: bool,
}

impl Sink {
    /// A receiver whose moods follow the seed.
    pub fn new(seed: u64, picky: bool) -> Self {
        Self { dice: Mutex::new(StdRng::seed_from_u64(seed)), accepted: Mutex::default(), picky }
    }

    /// What to do about a delivery.
    pub fn take(&self, delivery: &Delivery) -> Reply {
        let (entity, version) = delivery.version();
        if self.picky && is_refused_for_good(&entity, version) {
            return Reply::Status(422);
        }
        let reply = self.mood();
        if matches!(reply, Reply::Status(200..=299) | Reply::After(_, 200..=299)) {
            *self.accepted.lock().expect("no panic").entry(delivery.id().to_owned()).or_default() += 1;
        }
        reply
    }

    /// How often each event was accepted.
    pub fn accepted(&self) -> HashMap<String, u32> {
        self.accepted.lock().expect("no panic").clone()
    }

    fn mood(&self) -> Reply {
        let mut dice = self.dice.lock().expect("no panic");
        match dice.random_range(0..1000) {
            0..40 => Reply::Status(503),
            40..60 => Reply::Body(500, vec![b'x'; PAGE_BYTES].into()),
            60..80 => Reply::Status(429),
            80..110 => Reply::Close,
            110..111 => Reply::Hang,
            111..112 => Reply::Drip,
            112..115 => Reply::Header(429, "retry-after", "1".to_owned()),
            115..250 => Reply::After(SLOWEST.mul_f64(dice.random()), 200),
            _ => Reply::Status(204),
        }
    }
}

/// A few events that a picky receiver never wants; few enough for the reject brake to stay off.
pub fn is_refused_for_good(entity: &str, version: u64) -> bool {
    entity.ends_with('3') && version.is_multiple_of(4)
}
