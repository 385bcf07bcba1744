//! The event as it is posted to the hub ("Events in" of the hub's API).

use super::documents::Moment;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;

/// One event; serialises to the body of `POST /v1/events`.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Idempotency id, `sim:<run>:<site>:<number>`: unique in a run and the same in its repetition.
    pub id: String,
    /// `order.saved`, `drawer.moved`, `deposit.saved`, `punch.saved` or `terminal.business_date`.
    pub name: &'static str,
    /// Id of the store.
    pub site: String,
    /// Id of the terminal; a deposit has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// What the event is about, equal to the identity in `data`; a business date has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
    /// Simulated time, UTC with milliseconds.
    pub occurred_at: Moment,
    /// The day it belongs to: for an order the day on which it was taken.
    pub business_date: Date,
    /// What the event has to do with.
    #[serde(skip_serializing_if = "Correlation::is_empty")]
    pub correlation: Correlation,
    /// The document, serialised already.
    pub data: Box<RawValue>,
}

/// Ids by which events of different entities are found together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Correlation {
    /// The order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The guest, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
}

impl Correlation {
    fn is_empty(&self) -> bool {
        self.order_id.is_none() && self.customer_id.is_none()
    }
}
