//! What an integration says about the data stream (`contracts/data-stream.md`, "Gate"): the member `streams` of its
//! settings.
//!
//! Everything may be left out or null and has its default then: every toggle off, every list empty.

use serde::{Deserialize, Deserializer, Serialize};

use super::streams::Stream;
use crate::integration::{MAX_LIST, PerSite, Wrong};
use crate::relevance::Key;

/// Most values of one list of a filter.
pub const MAX_FILTER_VALUES: usize = 100;
/// Longest value of a filter, in characters.
pub const MAX_FILTER_CHARS: usize = 100;

/// The settings of all streams. They are complete once read; [`Streams::wrong`] tells what may not be saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Orders.
    #[serde(deserialize_with = "or_default")]
    pub orders: Orders,
    /// Drawers.
    #[serde(deserialize_with = "or_default")]
    pub drawers: Drawers,
    /// Deposits.
    #[serde(deserialize_with = "or_default")]
    pub deposits: Deposits,
    /// Time punches.
    #[serde(deserialize_with = "or_default")]
    pub punches: Toggle,
    /// Ends of day.
    #[serde(deserialize_with = "or_default")]
    pub eod: Eod,
    /// Workflows.
    #[serde(deserialize_with = "or_default")]
    pub workflow: Toggle,
}

/// The settings of the orders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// Whether a site's orders are sent.
    #[serde(deserialize_with = "or_default")]
    pub enabled: PerSite<bool>,
    /// Whether a site's orders carry `gross_sales` and `net_sales`.
    #[serde(deserialize_with = "or_default")]
    pub net_gross: PerSite<bool>,
    /// Which versions of an order are outdated.
    #[serde(deserialize_with = "or_default")]
    pub relevance_key: Key,
    /// Which orders are sent.
    #[serde(deserialize_with = "or_default")]
    pub filter: OrderFilter,
}

/// Which orders are sent: those of which state **and** type are listed. An empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderFilter {
    /// Whether the lists count. They stay when they do not.
    #[serde(deserialize_with = "or_default")]
    pub enabled: bool,
    /// `state` of the order; some are in [`super::literals::ORDER_STATES`].
    #[serde(deserialize_with = "or_default")]
    pub states: Vec<String>,
    /// `order_type` of the order; some are in [`super::literals::ORDER_TYPES`].
    #[serde(deserialize_with = "or_default")]
    pub types: Vec<String>,
}

/// The settings of the drawers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drawers {
    /// Whether a site's drawer events are sent.
    #[serde(deserialize_with = "or_default")]
    pub enabled: PerSite<bool>,
    /// Which of them.
    #[serde(deserialize_with = "or_default")]
    pub filter: DrawerFilter,
}

/// Which drawer events are sent: those with a listed movement. An empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrawerFilter {
    /// Whether the list counts. It stays when it does not.
    #[serde(deserialize_with = "or_default")]
    pub enabled: bool,
    /// `events[].type` of the drawer; some are in [`super::literals::DRAWER_EVENT_TYPES`].
    #[serde(deserialize_with = "or_default")]
    pub event_types: Vec<String>,
}

/// The settings of the deposits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deposits {
    /// Whether a site's deposits are sent.
    #[serde(deserialize_with = "or_default")]
    pub enabled: PerSite<bool>,
    /// Which of them.
    #[serde(deserialize_with = "or_default")]
    pub filter: DepositFilter,
}

/// Which deposits are sent: those with a listed status. An empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DepositFilter {
    /// Whether the list counts. It stays when it does not.
    #[serde(deserialize_with = "or_default")]
    pub enabled: bool,
    /// `status` of the deposit, in any case; some are in [`super::literals::DEPOSIT_STATUSES`].
    #[serde(deserialize_with = "or_default")]
    pub statuses: Vec<String>,
}

/// The settings of a stream that is on or off and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Toggle {
    /// Whether a site's events are sent.
    #[serde(deserialize_with = "or_default")]
    pub enabled: PerSite<bool>,
}

/// The settings of the ends of day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eod {
    /// Whether a site's own end of day is sent.
    #[serde(deserialize_with = "or_default")]
    pub site: PerSite<bool>,
    /// Whether those of a site's terminals are sent.
    #[serde(deserialize_with = "or_default")]
    pub terminals: PerSite<bool>,
}

impl Streams {
    /// Whether a site's events of the stream are sent.
    pub fn enabled(&self, stream: Stream) -> &PerSite<bool> {
        match stream {
            Stream::Orders => &self.orders.enabled,
            Stream::Drawers => &self.drawers.enabled,
            Stream::Deposits => &self.deposits.enabled,
            Stream::Punches => &self.punches.enabled,
            Stream::SiteEod => &self.eod.site,
            Stream::TerminalEod => &self.eod.terminals,
            Stream::Workflow => &self.workflow.enabled,
        }
    }

    /// What is wrong with them, with places such as `streams.orders.filter.states[3]`.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for stream in Stream::ALL {
            check_sites(enabled_place(stream), self.enabled(stream), &mut wrong);
        }
        check_sites("streams.orders.net_gross", &self.orders.net_gross, &mut wrong);
        check_values("streams.orders.filter.states", &self.orders.filter.states, &mut wrong);
        check_values("streams.orders.filter.types", &self.orders.filter.types, &mut wrong);
        check_values("streams.drawers.filter.event_types", &self.drawers.filter.event_types, &mut wrong);
        check_values("streams.deposits.filter.statuses", &self.deposits.filter.statuses, &mut wrong);
        wrong
    }
}

/// The place of a stream's toggle in the settings.
pub const fn enabled_place(stream: Stream) -> &'static str {
    match stream {
        Stream::Orders => "streams.orders.enabled",
        Stream::Drawers => "streams.drawers.enabled",
        Stream::Deposits => "streams.deposits.enabled",
        Stream::Punches => "streams.punches.enabled",
        Stream::SiteEod => "streams.eod.site",
        Stream::TerminalEod => "streams.eod.terminals",
        Stream::Workflow => "streams.workflow.enabled",
    }
}

fn check_sites(place: &str, value: &PerSite<bool>, wrong: &mut Vec<Wrong>) {
    let count = value.sites.len();
    if count > MAX_LIST {
        wrong.push(Wrong::new(format!("{place}.sites"), format!("{count} entries; at most {MAX_LIST}")));
    }
}

fn check_values(place: &str, values: &[String], wrong: &mut Vec<Wrong>) {
    let count = values.len();
    if count > MAX_FILTER_VALUES {
        wrong.push(Wrong::new(place, format!("{count} entries; at most {MAX_FILTER_VALUES}")));
    }
    for (i, value) in values.iter().enumerate() {
        if !(1..=MAX_FILTER_CHARS).contains(&value.chars().count()) {
            wrong.push(Wrong::new(format!("{place}[{i}]"), format!("1 to {MAX_FILTER_CHARS} characters")));
        }
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::deserialize(d).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
