//! How simulated time becomes waiting.

use jiff::Timestamp;
use std::time::Duration;

/// Longest wall-clock pause between two events. Whatever the pace and the hour, a demo shows life every second.
pub const MAX_QUIET: Duration = Duration::from_secs(1);

/// Slowest pace: a simulated minute takes 100.
pub const MIN_PACE: f64 = 0.01;

/// Fastest pace: a simulated day takes less than a second.
pub const MAX_PACE: f64 = 100_000.0;

/// Turns simulated moments into wall-clock offsets. Pure: it adds up, the caller waits.
///
/// At pace 1 a simulated second takes a real one; at pace 60 a simulated hour takes a minute and sixty times as
/// many events arrive in a real second. The rush-hour curve stays visible because it is in the gaps already.
pub struct Pacer {
    pace: f64,
    latest: Option<Timestamp>,
    due: Duration,
}

impl Pacer {
    /// A pacer for simulated seconds per real second, kept between [`MIN_PACE`] and [`MAX_PACE`]; what is no
    /// number counts as 1.
    pub fn new(pace: f64) -> Pacer {
        let pace = if pace.is_nan() { 1.0 } else { pace.clamp(MIN_PACE, MAX_PACE) };
        Pacer { pace, latest: None, due: Duration::ZERO }
    }

    /// How long after the first event (real time) the event of this simulated moment is due. Offsets instead of
    /// pauses, so that late wake-ups of the caller do not add up and fast paces come in small bursts.
    pub fn due(&mut self, at: Timestamp) -> Duration {
        let gap = self.latest.map_or(Duration::ZERO, |latest| passed(latest, at));
        self.latest = Some(at);
        self.due += gap.div_f64(self.pace).min(MAX_QUIET);
        self.due
    }
}

fn passed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn pace_divides_the_simulated_gap() {
        let mut pacer = Pacer::new(60.0);
        assert_eq!(pacer.due(second(1_000)), Duration::ZERO);
        assert_eq!(pacer.due(second(1_030)), Duration::from_millis(500));
        assert_eq!(pacer.due(second(1_036)), Duration::from_millis(600));
    }

    #[test]
    fn no_pause_is_longer_than_the_limit() {
        let mut pacer = Pacer::new(1.0);
        pacer.due(second(0));
        assert_eq!(pacer.due(second(1)), MAX_QUIET);
        assert_eq!(pacer.due(second(50_000)), 2 * MAX_QUIET);
    }

    #[test]
    fn time_that_stands_still_or_goes_back_waits_for_nothing() {
        let mut pacer = Pacer::new(1.0);
        pacer.due(second(10));
        assert_eq!(pacer.due(second(10)), Duration::ZERO);
        assert_eq!(pacer.due(second(3)), Duration::ZERO);
    }

    #[test]
    fn a_pace_beyond_the_limits_counts_as_the_limit() {
        for (given, used) in [(0.0, MIN_PACE), (-5.0, MIN_PACE), (f64::INFINITY, MAX_PACE), (f64::NAN, 1.0)] {
            assert_eq!(Pacer::new(given).pace, used);
        }
    }
}
