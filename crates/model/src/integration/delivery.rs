//! How an integration's events are delivered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Format;
use super::written::Wrong;
use crate::schedule::{Preset, Retry};

/// Most attempts under way at once that may be asked for.
pub const MAX_IN_FLIGHT: u32 = 512;
/// Attempts under way at once when nothing is said.
pub const DEFAULT_IN_FLIGHT: u32 = 32;
/// Longest exchange that may be asked for.
pub const MAX_TIMEOUT_SECONDS: u32 = 60;
/// Longest exchange when nothing is said.
pub const DEFAULT_TIMEOUT_SECONDS: u32 = 15;
/// Highest rate limit.
pub const MAX_RATE: u32 = 100_000;
/// Most status codes whose meaning is set.
pub const MAX_VERDICTS: usize = 50;
/// Statuses whose meaning may be set.
const STATUSES: std::ops::RangeInclusive<u16> = 100..=599;

/// How events are delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// What order is kept.
    pub ordering: Ordering,
    /// Most attempts under way at once.
    pub max_in_flight: u32,
    /// Most attempts a second; None: no limit.
    pub rate_per_second: Option<u32>,
    /// Limit of one whole exchange, name look-up to the last byte.
    pub timeout_seconds: u32,
    /// When failed attempts are repeated.
    pub retry: Retry,
    /// Events accepted longer ago are listed as expired instead of sent; None: any age.
    pub max_age_seconds: Option<u64>,
    /// What happens when the last attempt failed.
    pub on_exhausted: OnExhausted,
    /// What happens to the later events of an entity when one was rejected.
    #[serde(default)]
    pub on_reject: OnReject,
    /// What answers of these statuses mean here, in place of what they usually do.
    #[serde(default)]
    pub verdicts: BTreeMap<u16, Ruling>,
}

/// What order is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// An entity's next event starts after its predecessor's outcome is committed.
    #[default]
    Entity,
    /// None; most throughput.
    None,
}

/// What happens when an event's last attempt failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// It is listed as rejected, the rest goes on.
    #[default]
    Reject,
    /// The integration stops, the event stays pending.
    Stop,
}

/// What happens to the later events of an entity when one was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// They go on without it.
    #[default]
    Continue,
    /// They wait until it is retried or deleted.
    HoldEntity,
}

/// What an answer is said to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The receiver has the event.
    Delivered,
    /// It will not have it.
    Reject,
    /// Try again.
    Retry,
    /// The integration stops, the event stays pending.
    Stop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenDelivery {
    ordering: Option<Ordering>,
    max_in_flight: Option<u32>,
    rate_per_second: Option<u32>,
    timeout_seconds: Option<u32>,
    retry: Option<Retry>,
    max_age_seconds: Option<u64>,
    on_exhausted: Option<OnExhausted>,
    on_reject: Option<OnReject>,
    verdicts: Option<BTreeMap<u16, Ruling>>,
}

impl WrittenDelivery {
    pub(super) fn complete(self, format: Format) -> Delivery {
        let retry = self.retry.unwrap_or(Retry::Preset(match format {
            Format::EventStream => Preset::EventStream,
            Format::Tillstream | Format::Cloudevents => Preset::Standard,
        }));
        Delivery {
            ordering: self.ordering.unwrap_or_default(),
            max_in_flight: self.max_in_flight.unwrap_or(DEFAULT_IN_FLIGHT),
            rate_per_second: self.rate_per_second,
            timeout_seconds: self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
            on_exhausted: self.on_exhausted.unwrap_or(match retry {
                Retry::Preset(Preset::EventStream) => OnExhausted::Stop,
                _ => OnExhausted::Reject,
            }),
            on_reject: self.on_reject.unwrap_or_default(),
            verdicts: self.verdicts.unwrap_or_default(),
            retry,
            max_age_seconds: self.max_age_seconds,
        }
    }
}

/// What is wrong with them.
pub(super) fn check(d: &Delivery, wrong: &mut Vec<Wrong>) {
    let mut range = |path: &str, value: u64, max: u64| {
        if !(1..=max).contains(&value) {
            wrong.push(Wrong::new(format!("delivery.{path}"), format!("{value} is not between 1 and {max}")));
        }
    };
    range("max_in_flight", d.max_in_flight.into(), MAX_IN_FLIGHT.into());
    range("timeout_seconds", d.timeout_seconds.into(), MAX_TIMEOUT_SECONDS.into());
    range("rate_per_second", d.rate_per_second.unwrap_or(1).into(), MAX_RATE.into());
    range("max_age_seconds", d.max_age_seconds.unwrap_or(1), 400 * 86_400);
    wrong.extend(d.retry.wrong().map(|m| Wrong::new("delivery.retry", m)));
    if d.on_reject == OnReject::HoldEntity && d.ordering == Ordering::None {
        wrong.push(Wrong::new("delivery.on_reject", "hold_entity needs ordering: entity"));
    }
    if d.verdicts.len() > MAX_VERDICTS {
        let count = d.verdicts.len();
        wrong.push(Wrong::new("delivery.verdicts", format!("{count} statuses; at most {MAX_VERDICTS}")));
    }
    for status in d.verdicts.keys().filter(|status| !STATUSES.contains(status)) {
        wrong.push(Wrong::new(format!("delivery.verdicts.{status}"), "not a status between 100 and 599"));
    }
}
