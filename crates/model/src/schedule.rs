//! When a failed attempt is repeated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most attempts of one event.
pub const MAX_ATTEMPTS: usize = 20;
/// Longest wait between two attempts.
pub const MAX_WAIT_SECONDS: u32 = 7 * 86_400;
/// Added jitter: up to this part of the wait, so that events that failed together don't come back together.
const ADDED_JITTER: f64 = 0.1;

const STANDARD: [u32; 10] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
const DATA_STREAM: [u32; 3] = [0, 10, 60];
const EVENT_STREAM: [u32; 11] = [0, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300];

/// A named preset or an own schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "standard, data_stream, event_stream or {\"schedule_seconds\": [0, 5, 300]}")]
pub enum Retry {
    /// One of the three presets.
    Preset(Preset),
    /// The wait before each attempt, in seconds; the first is before the first attempt.
    Custom(Custom),
}

/// An own schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// The wait before each attempt, in seconds.
    pub schedule_seconds: Vec<u32>,
}

/// The presets of `contracts/event-stream.md` ("Webhook answers") and `contracts/data-stream.md` ("Transport").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Ten attempts over about three days.
    Standard,
    /// Three attempts within about 70 seconds.
    DataStream,
    /// Eleven attempts, exponential with full jitter, inside about 15 minutes.
    EventStream,
}

impl Retry {
    /// The wait before attempt `number` (from 1), None when there is no such attempt. `random` is uniform in 0..1.
    pub fn wait_before(&self, number: u32, random: f64) -> Option<Duration> {
        let seconds = *self.schedule().get(number.checked_sub(1)? as usize)?;
        let base = f64::from(seconds);
        let full_jitter = matches!(self, Retry::Preset(Preset::EventStream));
        Some(Duration::from_secs_f64(if full_jitter { base * random } else { base * (1.0 + ADDED_JITTER * random) }))
    }

    /// How many attempts there are.
    pub fn attempts(&self) -> u32 {
        self.schedule().len() as u32
    }

    /// What is wrong with an own schedule.
    pub fn wrong(&self) -> Option<String> {
        let list = self.schedule();
        if !(1..=MAX_ATTEMPTS).contains(&list.len()) {
            return Some(format!("between 1 and {MAX_ATTEMPTS} attempts"));
        }
        list.iter().find(|&&s| s > MAX_WAIT_SECONDS).map(|s| format!("{s} s is longer than {MAX_WAIT_SECONDS} s"))
    }

    fn schedule(&self) -> &[u32] {
        match self {
            Retry::Preset(Preset::Standard) => &STANDARD,
            Retry::Preset(Preset::DataStream) => &DATA_STREAM,
            Retry::Preset(Preset::EventStream) => &EVENT_STREAM,
            Retry::Custom(own) => &own.schedule_seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(list: Vec<u32>) -> Retry {
        Retry::Custom(Custom { schedule_seconds: list })
    }

    #[test]
    fn presets_have_the_attempts_of_their_contract() {
        for (preset, attempts, last_wait) in
            [(Preset::Standard, 10, 86_400), (Preset::DataStream, 3, 60), (Preset::EventStream, 11, 300)]
        {
            let retry = Retry::Preset(preset);
            assert_eq!(retry.attempts(), attempts);
            assert_eq!(retry.wait_before(1, 0.99), Some(Duration::ZERO));
            assert!(retry.wait_before(attempts, 1.0).unwrap() >= Duration::from_secs(last_wait));
            assert_eq!(retry.wait_before(attempts + 1, 0.0), None);
            assert_eq!(retry.wrong(), None);
        }
    }

    #[test]
    fn the_event_stream_preset_stays_inside_about_15_minutes() {
        let mean: f64 = (1..=11)
            .filter_map(|n| Retry::Preset(Preset::EventStream).wait_before(n, 0.5))
            .map(|d| d.as_secs_f64())
            .sum();
        assert!((600.0..1_000.0).contains(&mean), "{mean}");
    }

    #[test]
    fn an_own_schedule_is_accepted_up_to_its_limits() {
        assert_eq!(custom(vec![0; MAX_ATTEMPTS]).wrong(), None);
        assert!(custom(vec![0; MAX_ATTEMPTS + 1]).wrong().is_some());
        assert!(custom(vec![]).wrong().is_some());
        assert_eq!(custom(vec![MAX_WAIT_SECONDS]).wrong(), None);
        assert!(custom(vec![MAX_WAIT_SECONDS + 1]).wrong().is_some());
        assert_eq!(serde_json::to_string(&custom(vec![0, 5])).unwrap(), r#"{"schedule_seconds":[0,5]}"#);
        assert_eq!(serde_json::from_str::<Retry>("\"data_stream\"").unwrap(), Retry::Preset(Preset::DataStream));
    }
}
