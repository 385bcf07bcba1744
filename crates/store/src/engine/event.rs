//! Whole events beside the log, for parked and rejected ones: a JSON document that names its version.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tillstream_model::json::Json;
use tillstream_model::{CompanyNo, Content, Event, EventId, Seq, Time, Trace};

use super::Cause;

/// The version that is written; every version up to it is read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    v: u32,
    company: CompanyNo,
    seq: Seq,
    id: EventId,
    accepted_at: i64,
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminal: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    business_date: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    correlation: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// As stored.
pub(crate) fn write(event: &Event) -> Result<Vec<u8>, Cause> {
    let c = &event.content;
    let text = |text: &'_ Option<Box<str>>| text.as_deref().map(|t| Cow::Owned(t.to_owned()));
    Ok(serde_json::to_vec(&Document {
        v: VERSION,
        company: event.company,
        seq: event.seq,
        id: event.id,
        accepted_at: event.accepted_at.millis(),
        name: Cow::Borrowed(&c.name),
        site: text(&c.site),
        terminal: text(&c.terminal),
        entity_id: text(&c.entity_id),
        occurred_at: c.occurred_at.map(Time::millis),
        business_date: text(&c.business_date),
        caller_id: text(&c.caller_id),
        trace: c.trace.map(|trace| Cow::Owned(trace.to_string())),
        correlation: c.correlation.as_ref().map(|c| serde_json::from_str(c.get())).transpose()?,
        data: serde_json::from_str(c.data.get())?,
    })?)
}

/// What was stored, without the payload.
pub(crate) fn erased(bytes: &[u8]) -> Result<Vec<u8>, Cause> {
    let mut event = read(bytes)?;
    event.content.erase();
    write(&event)
}

/// Reads what was stored.
pub(crate) fn read(bytes: &[u8]) -> Result<Event, Cause> {
    let d: Document<'_> = serde_json::from_slice(bytes)?;
    if d.v > VERSION {
        return Err(format!("a stored event is of version {}; this program knows {VERSION}", d.v).into());
    }
    let text = |text: Option<Cow<'_, str>>| text.map(|t| t.into_owned().into_boxed_str());
    let content = Content {
        name: d.name.into_owned().into(),
        site: text(d.site),
        terminal: text(d.terminal),
        entity_id: text(d.entity_id),
        occurred_at: d.occurred_at.map(Time::from_millis),
        business_date: text(d.business_date),
        correlation: d.correlation.map(|c| Json::trusted(c.get())),
        caller_id: text(d.caller_id),
        trace: d.trace.and_then(|trace| Trace::parse(&trace)),
        data: Json::trusted(d.data.get()),
    };
    let accepted_at = Time::from_millis(d.accepted_at);
    Ok(Event { company: d.company, seq: d.seq, id: d.id, accepted_at, content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{assert_same, full_content};

    /// What version 1 wrote; must be read for ever.
    const VERSION_1: &str = r#"{"v":1,"company":7,"seq":3,"id":"evt_01KA86YVTQ1064R3GM2R910643","accepted_at":1763632000087,"name":"order.saved","site":"175","data":{"a":1.50}}"#;

    #[test]
    fn an_event_reads_back_as_it_was() {
        let at = Time::from_millis(1_763_632_000_087);
        for content in [full_content("c-1"), crate::suite::content("order.saved", "x")] {
            let event =
                Event { company: CompanyNo(7), seq: 3, id: EventId::new(at, [2; 10]), accepted_at: at, content };
            assert_same(&read(&write(&event).unwrap()).unwrap(), &event);
        }
    }

    #[test]
    fn an_erased_event_reads_back_as_one() {
        let erased = read(&erased(VERSION_1.as_bytes()).unwrap()).unwrap();
        assert!(erased.content.is_erased());
        assert_eq!((erased.seq, &*erased.content.name), (3, "order.saved"));
    }

    #[test]
    fn an_event_of_version_1_is_read_and_a_later_one_refused() {
        let event = read(VERSION_1.as_bytes()).unwrap();
        assert_eq!((event.company, event.seq, &*event.content.name), (CompanyNo(7), 3, "order.saved"));
        assert_eq!((event.content.site.as_deref(), event.content.data.get()), (Some("175"), r#"{"a":1.50}"#));
        assert!(read(VERSION_1.replace(r#""v":1"#, r#""v":2"#).as_bytes()).is_err());
    }
}
