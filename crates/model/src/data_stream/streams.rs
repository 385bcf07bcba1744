//! The seven streams: which events they take, what their messages are called and where `data` says what they are about
//! (`contracts/data-stream.md`, "Envelope and entities").

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::event::{Content, entity_of};
use crate::path::{elements, member_of, text};
use crate::time::is_date;

/// The one fact of the events that the hub derives from business dates.
const REACHED: &str = "reached";
/// Characters of `YYYY-MM-DD`.
const DATE_CHARS: usize = 10;

/// One of the streams that an endpoint can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Orders, each version of each.
    Orders,
    /// Drawers: the session's summary with one movement.
    Drawers,
    /// Deposits of cash.
    Deposits,
    /// Time punches; `data.model` holds them.
    Punches,
    /// A site's end of day, derived by the hub.
    SiteEod,
    /// A terminal's end of day, derived by the hub.
    TerminalEod,
    /// Workflows, such as closing the day.
    Workflow,
}

impl Stream {
    /// All of them.
    pub const ALL: [Stream; 7] = [
        Stream::Orders,
        Stream::Drawers,
        Stream::Deposits,
        Stream::Punches,
        Stream::SiteEod,
        Stream::TerminalEod,
        Stream::Workflow,
    ];

    /// The stream that takes this event. Orders without `_id` belong to none.
    pub fn of(content: &Content) -> Option<Self> {
        Self::named(&content.name).filter(|stream| stream.has_what_it_needs(content))
    }

    /// The stream of events of this name, whatever they say.
    pub fn named(name: &str) -> Option<Self> {
        let stream = Self::ALL.into_iter().find(|s| s.entity() == entity_of(name))?;
        let is_derived = matches!(stream, Stream::SiteEod | Stream::TerminalEod);
        (!is_derived || name.split_once('.').is_some_and(|(_, fact)| fact == REACHED)).then_some(stream)
    }

    /// Whether the event says enough to be part of the stream.
    pub(super) fn has_what_it_needs(self, content: &Content) -> bool {
        self != Stream::Orders || self.identity(content).is_some()
    }

    /// The part before the dot in the names of its events.
    pub const fn entity(self) -> &'static str {
        match self {
            Stream::Orders => "order",
            Stream::Drawers => "drawer",
            Stream::Deposits => "deposit",
            Stream::Punches => "punch",
            Stream::SiteEod => "site_eod",
            Stream::TerminalEod => "terminal_eod",
            Stream::Workflow => "workflow",
        }
    }

    /// What its messages say as `entityName`.
    pub const fn entity_name(self) -> &'static str {
        match self {
            Stream::Orders => "Order",
            Stream::Drawers => "Drawer",
            Stream::Deposits => "Deposit",
            Stream::Punches => "TimePunch",
            Stream::SiteEod => "EOD",
            Stream::TerminalEod => "TerminalEOD",
            Stream::Workflow => "Workflow",
        }
    }

    /// What the event is about, as `data` says it: an id, or `site:drawer:date`, `site:date` and `terminal:date`, dates
    /// as `YYYY-MM-DD`. None when `data` does not say.
    pub fn identity(self, content: &Content) -> Option<Cow<'_, str>> {
        let data = content.data.get();
        match self {
            Stream::Orders | Stream::Deposits | Stream::Workflow => text(data, "_id"),
            Stream::Drawers => text(data, "_id").or_else(|| drawer_of_the_day(content)),
            Stream::Punches => text(member_of(data, "model")?, "shift_id"),
            Stream::SiteEod => joined([text(data, "site_id"), new_date(data)]),
            Stream::TerminalEod => {
                let terminal = elements(member_of(data, "terminals")?).next()?;
                joined([text(terminal, "terminal_id"), new_date(terminal)])
            }
        }
    }
}

/// A drawer without an id is known by its site, its number and the business date: its own, else the event's.
fn drawer_of_the_day(content: &Content) -> Option<Cow<'_, str>> {
    let data = content.data.get();
    let own = text(data, "businessDate").or_else(|| text(data, "business_date"));
    let date = own.or(content.business_date.as_deref().map(Cow::Borrowed));
    joined([text(data, "siteId"), text(data, "drawerNumber"), date.map(day)])
}

fn new_date(json: &str) -> Option<Cow<'_, str>> {
    text(json, "new_business_date").map(day)
}

/// The date of a moment that begins with one; other texts as they are.
fn day(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.get(..DATE_CHARS).filter(|date| is_date(date)) {
        Some(date) => Cow::Owned(date.to_owned()),
        None => text,
    }
}

fn joined<'a, const N: usize>(parts: [Option<Cow<'_, str>>; N]) -> Option<Cow<'a, str>> {
    let parts: Option<Vec<_>> = parts.into_iter().collect();
    parts.map(|list| Cow::Owned(list.join(":")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::event;

    fn identity(name: &str, data: &str) -> Option<String> {
        let content = event(name, data).content;
        Stream::named(name).unwrap().identity(&content).map(Cow::into_owned)
    }

    #[test]
    fn each_stream_takes_its_events_and_no_others() {
        let cases = [
            ("order.saved", Some((Stream::Orders, "Order"))),
            ("order.a_new_fact", Some((Stream::Orders, "Order"))),
            ("drawer.moved", Some((Stream::Drawers, "Drawer"))),
            ("deposit.saved", Some((Stream::Deposits, "Deposit"))),
            ("punch.saved", Some((Stream::Punches, "TimePunch"))),
            ("site_eod.reached", Some((Stream::SiteEod, "EOD"))),
            ("terminal_eod.reached", Some((Stream::TerminalEod, "TerminalEOD"))),
            ("workflow.finished", Some((Stream::Workflow, "Workflow"))),
            ("site_eod.other", None),
            ("terminal_eod.reached_again", None),
            ("site.day_closed", None),
            ("orders.saved", None),
            ("return.processed", None),
        ];
        for (name, expected) in cases {
            let stream = Stream::of(&event(name, r#"{"_id":"1"}"#).content);
            assert_eq!(stream.map(|s| (s, s.entity_name())), expected, "{name}");
        }
    }

    #[test]
    fn an_order_without_identity_is_of_no_stream() {
        for (data, expected) in [
            (r#"{"_id":"o"}"#, Some(Stream::Orders)),
            (r#"{"_id":7}"#, Some(Stream::Orders)),
            (r#"{"_id":""}"#, None),
            (r#"{"_id":null}"#, None),
            (r#"{"id":"o"}"#, None),
            ("null", None),
        ] {
            assert_eq!(Stream::of(&event("order.saved", data).content), expected, "{data}");
        }
        assert_eq!(Stream::of(&event("deposit.saved", "{}").content), Some(Stream::Deposits));
    }

    #[test]
    fn the_identity_stands_where_the_contract_says() {
        let terminals = r#"{"terminals":[{"terminal_id":2,"new_business_date":"2021-09-30T00:00:00.000Z"}]}"#;
        let cases = [
            ("order.saved", r#"{"_id":"o-1"}"#, Some("o-1")),
            ("deposit.saved", r#"{"_id":"d-1"}"#, Some("d-1")),
            ("workflow.finished", r#"{"_id":"w-1"}"#, Some("w-1")),
            ("punch.saved", r#"{"model":{"shift_id":"s-1"},"_id":"x"}"#, Some("s-1")),
            ("punch.saved", r#"{"_id":"x"}"#, None),
            ("drawer.moved", r#"{"_id":"d","siteId":1,"drawerNumber":2,"businessDate":"2026-11-21"}"#, Some("d")),
            ("drawer.moved", r#"{"siteId":1,"drawerNumber":2,"businessDate":"2026-11-21"}"#, Some("1:2:2026-11-21")),
            ("drawer.moved", r#"{"siteId":1,"drawerNumber":2,"business_date":"some day"}"#, Some("1:2:some day")),
            ("drawer.moved", r#"{"siteId":1,"drawerNumber":2}"#, None),
            ("site_eod.reached", r#"{"site_id":"175","new_business_date":"2021-09-30"}"#, Some("175:2021-09-30")),
            ("site_eod.reached", r#"{"site_id":"175"}"#, None),
            ("terminal_eod.reached", terminals, Some("2:2021-09-30")),
            ("terminal_eod.reached", r#"{"terminals":[]}"#, None),
        ];
        for (name, data, expected) in cases {
            assert_eq!(identity(name, data).as_deref(), expected, "{name} {data}");
        }
    }

    #[test]
    fn a_drawer_that_names_no_date_has_the_events() {
        let mut content = event("drawer.moved", r#"{"siteId":"1","drawerNumber":2}"#).content;
        content.business_date = Some("2026-11-21".into());
        assert_eq!(Stream::Drawers.identity(&content).as_deref(), Some("1:2:2026-11-21"));
    }
}
