//! How many attempts may be under way at once, and how many a second.

use std::time::Duration;

use crate::Time;

/// The window a lane starts with, and goes back to after an outage.
pub const START: f64 = 2.0;
/// The window is halved at most once in this time.
const HALVE_EVERY: Duration = Duration::from_secs(1);
/// Over this rate a short burst of a twentieth of a second is allowed, under it none.
const BURST_DIVISOR: f64 = 20.0;

/// The window: grows by one with each answer, halves when the receiver is over its limits.
#[derive(Clone, Debug)]
pub struct Window {
    limit: f64,
    max: f64,
    halved_at: Option<Time>,
    recovered_at: Option<Time>,
}

impl Window {
    /// A fresh window under `max`.
    pub fn new(max: u32) -> Self {
        Self { limit: START.min(max.into()), max: max.into(), halved_at: None, recovered_at: None }
    }

    /// A new upper limit.
    pub fn set_max(&mut self, max: u32) {
        self.max = max.into();
        self.limit = self.limit.min(self.max);
    }

    /// How many attempts may be under way. After an outage at most doubles each second.
    pub fn limit(&self, now: Time) -> usize {
        let ramp = self.recovered_at.map_or(self.max, |t| START * 2f64.powf(now.since(t).as_secs_f64().min(20.0)));
        self.limit.min(ramp.max(START)).max(1.0) as usize
    }

    /// The receiver answered in good order.
    pub fn grow(&mut self) {
        self.limit = (self.limit + 1.0).min(self.max);
    }

    /// The receiver is over its limits.
    pub fn halve(&mut self, now: Time) {
        if self.halved_at.is_none_or(|t| now.since(t) >= HALVE_EVERY) {
            self.limit = (self.limit / 2.0).max(1.0);
            self.halved_at = Some(now);
        }
    }

    /// The receiver is back after an outage.
    pub fn recover(&mut self, now: Time) {
        self.limit = self.max;
        self.recovered_at = Some(now);
    }
}

/// A token bucket for `rate_per_second`.
#[derive(Clone, Debug)]
pub struct Rate {
    per_second: Option<f64>,
    tokens: f64,
    filled_at: Time,
}

impl Rate {
    /// A full bucket; None: no limit.
    pub fn new(per_second: Option<u32>, now: Time) -> Self {
        let mut rate = Self { per_second: per_second.map(f64::from), tokens: 0.0, filled_at: now };
        rate.tokens = rate.burst();
        rate
    }

    /// When the next attempt may start: None means now.
    pub fn wait(&mut self, now: Time) -> Option<Time> {
        let per_second = self.per_second?;
        let more = now.since(self.filled_at).as_secs_f64() * per_second;
        self.tokens = (self.tokens + more).min(self.burst());
        self.filled_at = self.filled_at.max(now);
        let missing = 1.0 - self.tokens;
        (missing > 0.0).then(|| now + Duration::from_millis((missing / per_second * 1_000.0).ceil() as u64))
    }

    /// An attempt starts.
    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }

    fn burst(&self) -> f64 {
        self.per_second.map_or(0.0, |r| (r / BURST_DIVISOR).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn the_window_starts_at_two_and_grows_with_answers_to_its_maximum() {
        let mut w = Window::new(4);
        assert_eq!(w.limit(at(0)), 2);
        for expected in [3, 4, 4] {
            w.grow();
            assert_eq!(w.limit(at(0)), expected);
        }
        assert_eq!(Window::new(1).limit(at(0)), 1);
    }

    #[test]
    fn the_window_halves_at_most_once_a_second_and_never_below_one() {
        let mut w = Window::new(64);
        (0..62).for_each(|_| w.grow());
        w.halve(at(0));
        w.halve(at(999));
        assert_eq!(w.limit(at(999)), 32);
        for s in 1..10 {
            w.halve(at(s * 1_000));
        }
        assert_eq!(w.limit(at(10_000)), 1);
    }

    #[test]
    fn after_an_outage_the_window_doubles_each_second() {
        let mut w = Window::new(32);
        w.recover(at(0));
        let limits = [0, 1_000, 2_000, 3_000, 4_000, 9_000].map(|ms| w.limit(at(ms)));
        assert_eq!(limits, [2, 4, 8, 16, 32, 32]);
    }

    #[test]
    fn a_rate_limit_holds_over_every_second() {
        for per_second in [1u32, 10, 200] {
            let mut rate = Rate::new(Some(per_second), at(0));
            let mut sent = Vec::new();
            for ms in 0..5_000 {
                while rate.wait(at(ms)).is_none() {
                    rate.take();
                    sent.push(ms);
                }
            }
            let most = (0..4_000).map(|from| sent.iter().filter(|&&t| (from..from + 1_000).contains(&t)).count()).max();
            let allowed = f64::from(per_second) + (f64::from(per_second) / BURST_DIVISOR).max(1.0);
            assert!(most.unwrap() as f64 <= allowed, "{per_second}: {most:?}");
            assert!(sent.len() as u32 >= per_second * 5, "{per_second}: {}", sent.len());
        }
    }
}
