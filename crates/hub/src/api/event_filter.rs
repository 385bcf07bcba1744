//! Which events are meant: what lists and questions look for.

use std::sync::Arc;

use tillstream_model::json::Json;
use tillstream_model::lookup::{By, LookupKey};
use tillstream_model::time::is_date;
use tillstream_model::{CompanyNo, Event, Seq, path};
use tillstream_store::{ReadLimit, StoreError};

use super::event_view::reaches;
use super::extract::wrong_param;
use crate::Hub;
use crate::problem::Result;

/// What is read from the log at once.
const BATCH: ReadLimit = ReadLimit { events: 1_000, bytes: 4 << 20 };

/// Positions that are looked up in the index at once.
const LOOKED_UP: usize = 256;

/// Which events. All that is given has to hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The entity.
    pub entity: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// The terminal.
    pub terminal: Option<String>,
    /// The entity's id.
    pub entity_id: Option<String>,
    /// A related id with its name.
    pub correlation: Option<(String, String)>,
    /// The trading day.
    pub business_date: Option<String>,
    /// The only sites that the caller's key reaches; all when empty.
    pub only: Vec<String>,
}

impl Filter {
    /// Whether an event is meant.
    pub fn matches(&self, event: &Event) -> bool {
        let content = &event.content;
        let is = |wanted: &Option<String>, value: Option<&str>| wanted.is_none() || wanted.as_deref() == value;
        is(&self.entity, Some(content.entity()))
            && is(&self.name, Some(&content.name))
            && is(&self.site, content.site.as_deref())
            && is(&self.terminal, content.terminal.as_deref())
            && is(&self.entity_id, content.entity_id.as_deref())
            && is(&self.business_date, content.business_date.as_deref())
            && self.correlates(content.correlation.as_ref())
            && reaches(&self.only, event)
    }

    /// What the index knows of it.
    fn keys(&self) -> Vec<LookupKey> {
        let by = [
            self.entity_id.as_deref().map(By::EntityId),
            self.correlation.as_ref().map(|(name, id)| By::Correlation(name, id)),
            self.business_date.as_deref().map(By::BusinessDate),
            self.terminal.as_deref().map(By::Terminal),
            self.site.as_deref().map(By::Site),
            self.name.as_deref().map(By::Name),
        ];
        by.into_iter().flatten().map(By::key).collect()
    }

    fn correlates(&self, correlation: Option<&Json>) -> bool {
        let Some((name, id)) = &self.correlation else { return true };
        correlation.and_then(|c| path::text(c.get(), name)).is_some_and(|found| found == id.as_str())
    }
}

/// Reads `correlation=order_id:123`.
pub fn correlation(written: Option<&str>) -> Result<Option<(String, String)>> {
    let Some(written) = written else { return Ok(None) };
    match written.split_once(':') {
        Some((name, id)) if !name.is_empty() && !id.is_empty() => Ok(Some((name.to_owned(), id.to_owned()))),
        _ => Err(wrong_param("correlation", "a name and an id, such as order_id:4711")),
    }
}

/// Reads a business date.
pub fn business_date(written: Option<&str>) -> Result<Option<String>> {
    match written {
        Some(date) if !is_date(date) => Err(wrong_param("business_date", "a date that exists, as YYYY-MM-DD")),
        date => Ok(date.map(str::to_owned)),
    }
}

/// Some of the events after a position, in order, among which are all that the filter means up to the position that
/// comes with them; None at the end of the log. What is indexed is looked up, the rest looked through.
pub async fn candidates(
    hub: &Hub,
    company: CompanyNo,
    filter: &Filter,
    after: Seq,
) -> std::result::Result<Option<(Vec<Arc<Event>>, Seq)>, StoreError> {
    let keys = filter.keys();
    if !keys.is_empty() {
        let floor = hub.log().floor(company).await?;
        let reached = hub.stores().index.reached(company, floor).await?;
        if after < reached {
            return indexed(hub, company, &keys, after, reached).await.map(Some);
        }
    }
    let events = hub.log().read(company, after, BATCH).await?;
    Ok(events.last().map(|e| e.seq).map(|last| (events, last)))
}

/// Events by the key that has the fewest: the one whose positions reach furthest.
async fn indexed(
    hub: &Hub,
    company: CompanyNo,
    keys: &[LookupKey],
    after: Seq,
    reached: Seq,
) -> std::result::Result<(Vec<Arc<Event>>, Seq), StoreError> {
    let (mut seqs, mut looked_to) = (Vec::new(), 0);
    for key in keys {
        let mut found = hub.stores().index.positions(company, *key, after, LOOKED_UP).await?;
        let all = found.len() < LOOKED_UP;
        found.retain(|seq| *seq <= reached);
        let to = if all { reached } else { found.last().copied().unwrap_or(reached) };
        if looked_to == 0 || (to, seqs.len()) > (looked_to, found.len()) {
            (seqs, looked_to) = (found, to);
        }
    }
    Ok((hub.log().get(company, &seqs).await?, looked_to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_related_id_is_written_with_its_name() {
        assert_eq!(correlation(Some("order_id:a:b")).unwrap(), Some(("order_id".into(), "a:b".into())));
        assert_eq!(correlation(None).unwrap(), None);
        for wrong in ["", "4711", ":4711", "order_id:"] {
            assert!(correlation(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(business_date(Some("2026-02-30")).is_err() && business_date(Some("2026-02-28")).is_ok());
    }

    #[test]
    fn a_related_id_may_be_a_number() {
        let filter = Filter { correlation: Some(("order_id".into(), "7".into())), ..Filter::default() };
        for (json, expected) in
            [(r#"{"order_id":7}"#, true), (r#"{"order_id":"7"}"#, true), (r#"{"order_id":"8","x":"7"}"#, false)]
        {
            assert_eq!(filter.correlates(Some(&Json::trusted(json))), expected, "{json}");
        }
        assert!(!filter.correlates(None) && Filter::default().correlates(None));
    }
}
