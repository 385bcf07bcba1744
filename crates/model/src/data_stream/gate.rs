//! Whether an event goes to an endpoint (`contracts/data-stream.md`, "Gate"), and which gate is closed when not.
//!
//! The gates of the contract in its order, but for two that others keep: whether the endpoint runs is the lane's, and
//! relevance needs a memory.

use std::borrow::Cow;

use super::settings::{DepositFilter, DrawerFilter, OrderFilter, Streams, enabled_place};
use super::streams::Stream;
use crate::event::Content;
use crate::integration::PerSite;
use crate::path::{elements, member_of, text};

/// What the gates of one endpoint are set to.
#[derive(Clone, Copy, Debug)]
pub struct Gates<'a> {
    /// The data stream service is on for the company and for the event's site.
    pub service: bool,
    /// The integration's `availability`.
    pub availability: &'a PerSite<bool>,
    /// The integration's `streams`.
    pub streams: &'a Streams,
}

/// The first gate that is closed for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The service is off for the company or the site.
    Service,
    /// `availability` is off for the site.
    Availability,
    /// No stream takes events of this name.
    NoStream,
    /// The order has no `_id`, so it is of no stream.
    NoIdentity,
    /// The stream is off for the site.
    Stream(Stream),
    /// Its payload was deleted, so nothing is left to be sent.
    Deleted,
    /// The filter does not list the order's state.
    OrderState,
    /// The filter does not list the order's type.
    OrderType,
    /// The filter does not list the drawer's movement.
    DrawerEventType,
    /// The filter does not list the deposit's status.
    DepositStatus,
}

impl Closed {
    /// The gate's place in the settings; `deleted` and what `data` lacks are no settings and named by themselves.
    pub const fn place(self) -> &'static str {
        match self {
            Closed::Service => "services.data_stream",
            Closed::Availability => "availability",
            Closed::NoStream => "streams",
            Closed::NoIdentity => "data._id",
            Closed::Stream(stream) => enabled_place(stream),
            Closed::Deleted => "deleted",
            Closed::OrderState => "streams.orders.filter.states",
            Closed::OrderType => "streams.orders.filter.types",
            Closed::DrawerEventType => "streams.drawers.filter.event_types",
            Closed::DepositStatus => "streams.deposits.filter.statuses",
        }
    }
}

impl Gates<'_> {
    /// The stream in which the event goes to the endpoint, or the first gate that is closed.
    pub fn admit(&self, content: &Content) -> Result<Stream, Closed> {
        let site = content.site.as_deref();
        open_or(self.service, Closed::Service)?;
        open_or(*self.availability.of(site), Closed::Availability)?;
        let stream = Stream::named(&content.name).ok_or(Closed::NoStream)?;
        // An erased payload says nothing any more: it is no fault of the event that it has no identity.
        open_or(content.is_erased() || stream.has_what_it_needs(content), Closed::NoIdentity)?;
        open_or(*self.streams.enabled(stream).of(site), Closed::Stream(stream))?;
        open_or(!content.is_erased(), Closed::Deleted)?;
        self.filter(stream, content.data.get())?;
        Ok(stream)
    }

    fn filter(&self, stream: Stream, data: &str) -> Result<(), Closed> {
        match stream {
            Stream::Orders => order(&self.streams.orders.filter, data),
            Stream::Drawers => drawer(&self.streams.drawers.filter, data),
            Stream::Deposits => deposit(&self.streams.deposits.filter, data),
            Stream::Punches | Stream::SiteEod | Stream::TerminalEod | Stream::Workflow => Ok(()),
        }
    }
}

fn open_or(open: bool, closed: Closed) -> Result<(), Closed> {
    if open { Ok(()) } else { Err(closed) }
}

fn order(filter: &OrderFilter, data: &str) -> Result<(), Closed> {
    let passes = |list: &[String], member| !filter.enabled || lists(list, text(data, member), str::eq);
    open_or(passes(&filter.states, "state"), Closed::OrderState)?;
    open_or(passes(&filter.types, "order_type"), Closed::OrderType)
}

fn drawer(filter: &DrawerFilter, data: &str) -> Result<(), Closed> {
    let mut movements = member_of(data, "events").into_iter().flat_map(elements);
    let listed = filter.event_types.is_empty()
        || movements.any(|movement| lists(&filter.event_types, text(movement, "type"), str::eq));
    open_or(!filter.enabled || listed, Closed::DrawerEventType)
}

fn deposit(filter: &DepositFilter, data: &str) -> Result<(), Closed> {
    let listed = lists(&filter.statuses, text(data, "status"), same_in_any_case);
    open_or(!filter.enabled || listed, Closed::DepositStatus)
}

/// Whether the list restricts nothing or has the value.
fn lists(list: &[String], value: Option<Cow<'_, str>>, same: impl Fn(&str, &str) -> bool) -> bool {
    list.is_empty() || value.is_some_and(|value| list.iter().any(|listed| same(listed, &value)))
}

fn same_in_any_case(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests;
