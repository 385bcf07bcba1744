//! How the three receivers behave.

use std::time::Duration;

use http::StatusCode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How long the slow receiver takes, in milliseconds.
const SLOW_MS: std::ops::RangeInclusive<u64> = 200..=400;
/// What the flaky receiver does in a hundred requests: so many 500s, 503s and requests left hanging.
const FAILS_PERCENT: u32 = 5;
const BUSY_PERCENT: u32 = 3;
const HANGS_PERCENT: u32 = 2;
/// How long a request is left hanging: longer than [`FLAKY_TIMEOUT_SECONDS`].
const HANG: Duration = Duration::from_secs(4);
/// The flaky receiver is down for [`OUTAGE`] once in each period, at its end, so that the circuit is seen to open.
const PERIOD: Duration = Duration::from_secs(60);
const OUTAGE: Duration = Duration::from_secs(12);

/// How long the hub waits for the flaky receiver.
pub const FLAKY_TIMEOUT_SECONDS: u32 = 2;

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Answers at once.
    Healthy,
    /// Answers after 200 to 400 ms.
    Slow,
    /// Fails now and then, and for some seconds each minute altogether.
    Flaky,
}

/// What a receiver does with one request.
#[derive(Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Waits so long.
    pub wait: Duration,
    /// Then answers so.
    pub status: StatusCode,
}

/// A receiver's mood: its temper and its dice.
pub struct Mood {
    temper: Temper,
    dice: StdRng,
}

impl Mood {
    /// The same seed gives the same reactions to the same sequence of requests.
    pub fn new(temper: Temper, seed: u64) -> Self {
        Self { temper, dice: StdRng::seed_from_u64(seed) }
    }

    /// The reaction to a request that comes so long after the start.
    pub fn react(&mut self, since_start: Duration) -> Reaction {
        let after = |wait, status| Reaction { wait, status };
        match self.temper {
            Temper::Healthy => after(Duration::ZERO, StatusCode::OK),
            Temper::Slow => after(Duration::from_millis(self.dice.random_range(SLOW_MS)), StatusCode::OK),
            Temper::Flaky if is_outage(since_start) => after(Duration::ZERO, StatusCode::INTERNAL_SERVER_ERROR),
            Temper::Flaky => self.flaky(),
        }
    }

    fn flaky(&mut self) -> Reaction {
        let (fails, busy, hangs) =
            (FAILS_PERCENT, FAILS_PERCENT + BUSY_PERCENT, FAILS_PERCENT + BUSY_PERCENT + HANGS_PERCENT);
        let (wait, status) = match self.dice.random_range(0..100) {
            n if n < fails => (Duration::ZERO, StatusCode::INTERNAL_SERVER_ERROR),
            n if n < busy => (Duration::ZERO, StatusCode::SERVICE_UNAVAILABLE),
            n if n < hangs => (HANG, StatusCode::OK),
            _ => (Duration::ZERO, StatusCode::OK),
        };
        Reaction { wait, status }
    }
}

fn is_outage(since_start: Duration) -> bool {
    let into_period = Duration::from_millis((since_start.as_millis() % PERIOD.as_millis()) as u64);
    into_period >= PERIOD - OUTAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reactions(temper: Temper, seed: u64) -> Vec<Reaction> {
        let mut mood = Mood::new(temper, seed);
        (0..1_000).map(|_| mood.react(Duration::ZERO)).collect()
    }

    #[test]
    fn the_flaky_receiver_fails_in_each_of_its_ways_but_mostly_not() {
        let all = reactions(Temper::Flaky, 1);
        let count = |wanted: &dyn Fn(&Reaction) -> bool| all.iter().filter(|r| wanted(r)).count();
        assert!((20..100).contains(&count(&|r| r.status == StatusCode::INTERNAL_SERVER_ERROR)));
        assert!((10..70).contains(&count(&|r| r.status == StatusCode::SERVICE_UNAVAILABLE)));
        assert!((5..50).contains(&count(&|r| r.wait > Duration::from_secs(FLAKY_TIMEOUT_SECONDS.into()))));
        assert_eq!(all, reactions(Temper::Flaky, 1));
        assert_ne!(all, reactions(Temper::Flaky, 2));
    }

    #[test]
    fn the_flaky_receiver_is_down_at_the_end_of_each_minute() {
        for (second, outage) in [(0, false), (47, false), (48, true), (59, true), (60, false), (108, true)] {
            assert_eq!(is_outage(Duration::from_secs(second)), outage, "{second}");
        }
    }

    #[test]
    fn the_others_never_fail() {
        assert!(reactions(Temper::Healthy, 1).iter().all(|r| r.wait.is_zero() && r.status == StatusCode::OK));
        let slow = |r: &Reaction| SLOW_MS.contains(&(r.wait.as_millis() as u64)) && r.status == StatusCode::OK;
        assert!(reactions(Temper::Slow, 1).iter().all(slow));
    }
}
