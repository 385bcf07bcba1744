//! What became of events at an integration, many at once: for the ledger and the answer to why.

use std::sync::Arc;

use tillstream_model::integration::Settings;
use tillstream_model::selection::{Unwanted, wants};
use tillstream_model::{Event, IntegrationNo, Seq, Time};
use tillstream_store::StoreError;
use tillstream_store::state::{GivenUp, Outcomes, Stretch, Tried, Waits};

use crate::Hub;

/// Most positions between the first and the last event that are looked at together.
pub const MOST_AT_ONCE: u64 = 1_000;

/// Settings that were in force, with their version.
pub type Then = Option<(u32, Arc<Settings>)>;

/// An event with what became of it.
pub struct Judged {
    /// The event.
    pub event: Arc<Event>,
    /// The settings in force at its position; None when the integration begins after it.
    pub then: Then,
    /// What became of it.
    pub ended: Ended,
}

/// What became of an event at an integration.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// The integration begins after it.
    BeforeStart,
    /// A rule said no.
    NotWanted(Unwanted),
    /// Its payload was deleted before it was sent.
    Deleted,
    /// The receiver has it.
    Delivered(Time),
    /// It was given up.
    Rejected(GivenUp),
    /// It was given up, and is no longer listed as rejected.
    Refused(Time),
    /// It waits for its next attempt, or behind one that does.
    Parked(Waits),
    /// Its turn has not come.
    Pending,
    /// It is done with, and nothing is kept of how.
    Settled,
}

/// What became of these events, which are in order.
pub async fn judge(hub: &Hub, no: IntegrationNo, events: &[Arc<Event>]) -> Result<Vec<Judged>, StoreError> {
    let mut judged = Vec::with_capacity(events.len());
    for stretch in stretches(events) {
        let Some(asked) = asked(stretch) else { continue };
        let outcomes = hub.state().outcomes(no, asked).await?;
        let then = settings_then(hub, no, stretch).await?;
        for (event, then) in stretch.iter().zip(then) {
            let ended = ended(event, then.as_ref().map(|(_, s)| &**s), &outcomes);
            judged.push(Judged { event: event.clone(), then, ended });
        }
    }
    Ok(judged)
}

/// Cut where the positions get too far apart to be looked at together.
fn stretches(mut events: &[Arc<Event>]) -> Vec<&[Arc<Event>]> {
    let mut stretches = Vec::new();
    while let Some(first) = events.first() {
        let (stretch, rest) = events.split_at(events.partition_point(|e| e.seq < first.seq + MOST_AT_ONCE));
        stretches.push(stretch);
        events = rest;
    }
    stretches
}

fn asked(events: &[Arc<Event>]) -> Option<Stretch> {
    let ids = || events.iter().map(|e| e.id);
    let (lowest, highest) = (ids().min()?, ids().max()?);
    Some(Stretch { first: events.first()?.seq, last: events.last()?.seq, lowest, highest })
}

/// The settings in force at each event. Versions only go up, so what holds at both ends holds between them.
async fn settings_then(hub: &Hub, no: IntegrationNo, events: &[Arc<Event>]) -> Result<Vec<Then>, StoreError> {
    let mut all: Vec<Then> = Vec::with_capacity(events.len());
    while let (Some(from), Some(last)) = (events.get(all.len()), events.last()) {
        let then = at(hub, no, from.seq).await?;
        let version = |then: &Then| then.as_ref().map(|(version, _)| *version);
        let (mut holds, mut ends) = (all.len(), events.len());
        if version(&at(hub, no, last.seq).await?) == version(&then) {
            holds = events.len() - 1;
        }
        while holds + 1 < ends {
            let middle = holds + (ends - holds) / 2;
            match version(&at(hub, no, events[middle].seq).await?) == version(&then) {
                true => holds = middle,
                false => ends = middle,
            }
        }
        all.resize(holds + 1, then);
    }
    Ok(all)
}

async fn at(hub: &Hub, no: IntegrationNo, seq: Seq) -> Result<Then, StoreError> {
    Ok(hub.state().settings_at(no, seq).await?.map(|(version, settings)| (version, Arc::new(settings))))
}

fn ended(event: &Event, then: Option<&Settings>, outcomes: &Outcomes) -> Ended {
    let tried = find(&outcomes.tried, |t: &Tried| t.seq == event.seq);
    let deleted = event.content.is_erased();
    if let Some(waits) = find(&outcomes.parked, |p| p.seq == event.seq) {
        return if deleted { Ended::Deleted } else { Ended::Parked(waits.clone()) };
    }
    if let Some(given_up) = outcomes.rejected.iter().rfind(|r| r.event == event.id) {
        return Ended::Rejected(given_up.clone());
    }
    if let Some(at) = tried.and_then(|t| t.delivered_at) {
        return Ended::Delivered(at);
    }
    let Some(settings) = then else { return Ended::BeforeStart };
    let over = event.seq <= outcomes.cursor || outcomes.settled.contains(event.seq);
    match (wants(settings, event), tried) {
        (Err(Unwanted::Deleted), _) => Ended::Deleted,
        (Err(no), None) => Ended::NotWanted(no),
        (_, Some(tried)) if over => Ended::Refused(tried.last_at),
        _ if over => Ended::Settled,
        _ => Ended::Pending,
    }
}

fn find<T>(rows: &[T], is: impl Fn(&T) -> bool) -> Option<&T> {
    rows.iter().find(|row| is(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tillstream_model::integration::Written;
    use tillstream_model::json::Json;
    use tillstream_model::{CompanyNo, Content, EventId, Ranges};

    fn event(seq: Seq) -> Arc<Event> {
        let at = Time::from_millis(1_790_000_000_000 + seq as i64);
        let content = Content {
            name: "order.saved".into(),
            site: None,
            terminal: None,
            entity_id: None,
            occurred_at: None,
            business_date: None,
            correlation: None,
            caller_id: None,
            trace: None,
            data: Json::trusted("{}"),
        };
        Arc::new(Event { company: CompanyNo(1), seq, id: EventId::new(at, [seq as u8; 10]), accepted_at: at, content })
    }

    fn settings(entity: &str) -> Settings {
        let target = json!({"kind":"http","url":"https://x.example"});
        let doc = json!({"id":"x","target":target,"events":{"entities":[entity]}});
        Written::from_json(doc).unwrap().complete().unwrap()
    }

    #[test]
    fn what_waits_comes_before_what_was_given_up_before_what_was_delivered() {
        let (wanted, at) = (settings("order"), Time::from_millis(5));
        let tried = |seq, delivered_at| Tried { seq, attempts: 1, last_at: at, delivered_at };
        let waits = Waits { seq: 1, attempts: 1, next_at: at, last_status: None, last_error: None };
        let given_up = |seq| GivenUp { event: event(seq).id, at, reason: "rejected".into(), last_status: Some(400) };
        let outcomes = Outcomes {
            cursor: 6,
            settled: Ranges::from(vec![(8, 8)]),
            tried: vec![tried(1, Some(at)), tried(2, Some(at)), tried(3, Some(at)), tried(4, None), tried(9, None)],
            parked: vec![waits.clone()],
            rejected: vec![given_up(1), given_up(2)],
        };
        for (seq, expected) in [
            (1, Ended::Parked(waits)),
            (2, Ended::Rejected(given_up(2))),
            (3, Ended::Delivered(at)),
            (4, Ended::Refused(at)),
            (5, Ended::Settled),
            (7, Ended::Pending),
            (8, Ended::Settled),
            (9, Ended::Pending),
        ] {
            assert_eq!(ended(&event(seq), Some(&wanted), &outcomes), expected, "{seq}");
        }
        assert_eq!(ended(&event(3), None, &outcomes), Ended::Delivered(at), "whatever the settings say");
        assert_eq!(ended(&event(5), None, &outcomes), Ended::BeforeStart);
        assert_eq!(ended(&event(5), Some(&settings("punch")), &outcomes), Ended::NotWanted(Unwanted::Events));
        let mut gone = (*event(7)).clone();
        gone.content.erase();
        assert_eq!(ended(&gone, Some(&wanted), &outcomes), Ended::Deleted);
    }

    #[test]
    fn events_far_apart_are_looked_at_by_themselves() {
        let events: Vec<_> = [1, 2, 1_000, 1_001, 9_000].map(event).to_vec();
        let seqs: Vec<Vec<Seq>> = stretches(&events).iter().map(|s| s.iter().map(|e| e.seq).collect()).collect();
        assert_eq!(seqs, [vec![1, 2, 1_000], vec![1_001], vec![9_000]]);
    }
}
