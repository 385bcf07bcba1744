//! How much a company may use, as it is written and shown.

use serde::{Deserialize, Serialize};
use tillstream_model::integration::Wrong;
use tillstream_store::state::Limits;
use utoipa::ToSchema;

use super::MAX_INTEGRATIONS;
use crate::rates::MAX_RATE;

/// Most bytes in the log that a limit may allow: a pebibyte.
pub const MAX_STORED_BYTES: u64 = 1 << 50;

/// How much a company may use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Limits)]
pub struct LimitsView {
    /// Events accepted in a second, on all nodes together; null: any number.
    #[schema(minimum = 1, maximum = 1_000_000, required = true)]
    pub events_per_second: Option<u32>,
    /// Bytes of events in the log; null: any number.
    #[schema(maximum = 1_125_899_906_842_624_i64, required = true)]
    pub stored_bytes: Option<u64>,
    /// Integrations; null: 1,000.
    #[schema(minimum = 0, maximum = 1000, required = true)]
    pub integrations: Option<u32>,
}

impl From<Limits> for LimitsView {
    fn from(l: Limits) -> Self {
        let Limits { events_per_second, stored_bytes, integrations } = l;
        LimitsView { events_per_second, stored_bytes, integrations }
    }
}

impl From<LimitsView> for Limits {
    fn from(l: LimitsView) -> Self {
        let LimitsView { events_per_second, stored_bytes, integrations } = l;
        Limits { events_per_second, stored_bytes, integrations }
    }
}

impl LimitsView {
    /// What no company can be allowed.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if self.integrations.is_some_and(|n| n as usize > MAX_INTEGRATIONS) {
            wrong.push(Wrong::new("limits.integrations", format!("at most {MAX_INTEGRATIONS}")));
        }
        if self.events_per_second.is_some_and(|n| !(1..=MAX_RATE).contains(&n)) {
            wrong.push(Wrong::new("limits.events_per_second", format!("1 to {MAX_RATE}")));
        }
        if self.stored_bytes.is_some_and(|n| n > MAX_STORED_BYTES) {
            wrong.push(Wrong::new("limits.stored_bytes", format!("at most {MAX_STORED_BYTES}")));
        }
        wrong
    }
}
