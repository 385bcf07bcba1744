//! Events as rows, and numbers as the server has them.

use tillstream_model::json::Json;
use tillstream_model::{CompanyNo, Content, Event, EventId, Seq, Time, Trace};
use tokio_postgres::Row;

use crate::engine::Cause;

/// The columns that [`event`] reads, in its order.
pub(super) const COLUMNS: &str = "seq, accepted_at, random, name, site, terminal, entity_id, occurred_at, business_date, caller_id, correlation, data, trace";

/// Reads an event of a company.
pub(super) fn event(company: CompanyNo, row: &Row) -> Result<Event, Cause> {
    let accepted_at = Time::from_millis(row.get(1));
    let text = |column: usize| row.get::<_, Option<&str>>(column).map(Into::into);
    let content = Content {
        name: row.get::<_, &str>(3).into(),
        site: text(4),
        terminal: text(5),
        entity_id: text(6),
        occurred_at: row.get::<_, Option<i64>>(7).map(Time::from_millis),
        business_date: text(8),
        caller_id: text(9),
        correlation: row.get::<_, Option<&[u8]>>(10).map(json).transpose()?,
        data: json(row.get(11))?,
        trace: row.get::<_, Option<&[u8]>>(12).and_then(Trace::from_bytes),
    };
    Ok(Event {
        company,
        seq: seq(row.get(0)),
        id: EventId::new(accepted_at, random(row.get(2))?),
        accepted_at,
        content,
    })
}

/// The part of an id that is stored; its time is the row's.
pub(super) fn random(stored: &[u8]) -> Result<[u8; 10], Cause> {
    stored.try_into().map_err(|_| Cause::from("a stored id is broken"))
}

fn json(stored: &[u8]) -> Result<Json, Cause> {
    Ok(Json::trusted(std::str::from_utf8(stored)?))
}

/// A position as the server has it; none is above its largest number.
pub(super) fn stored_seq(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A position from the server, which has none below 0.
pub(super) fn seq(stored: i64) -> Seq {
    Seq::try_from(stored).unwrap_or_default()
}

/// A company's number as the server has it.
pub(super) fn stored_company(company: CompanyNo) -> i32 {
    i32::try_from(company.0).unwrap_or(i32::MAX)
}

/// A company's number from the server.
pub(super) fn company(stored: i32) -> CompanyNo {
    CompanyNo(u32::try_from(stored).unwrap_or_default())
}
