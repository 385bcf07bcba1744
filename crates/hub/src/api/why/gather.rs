//! The facts of an answer: what came, and what became of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tillstream_model::integration::Status;
use tillstream_model::lane::MAX_PARKED;
use tillstream_model::selection::Unwanted;
use tillstream_model::time::DAY_MS;
use tillstream_model::why::{self, Change, Counts, GivenUp, HeldUp, LATE_AFTER, Lane, No, Received};
use tillstream_model::{Event, Seq, Time};
use tillstream_store::state::{Company, Integration, Waits};

use super::WhyQuery;
use super::view::{DeliveredView, PendingView, RejectedCount, RuleView, WhyIntegration};
use crate::Hub;
use crate::api::event_filter::{Filter, candidates};
use crate::api::lane_view::{Circuit, LaneView, Standing, standing};
use crate::api::outcome::{Ended, Judged, judge};
use crate::api::set_by::{SetBy, set_by};
use crate::documents;
use crate::problem::Result;
use crate::sites::Site;

/// Most positions that an answer goes back, unless it is about one entity that the index knows.
pub const MAX_LOOKED_BACK: u64 = 200_000;
/// Entries of an integration's log among which the one that stopped it is looked for.
const LOG_ENTRIES: usize = 50;

/// What came of what was asked about.
pub struct Came {
    /// How many, and when the last.
    pub received: Received,
    /// The newest of them, in order.
    pub newest: VecDeque<Arc<Event>>,
    /// Everything in the window was looked at.
    pub complete: bool,
    /// The company's last position.
    pub head: Seq,
}

/// What is known of a site.
pub async fn site(hub: &Hub, company: &Company, id: &str) -> Result<why::Site> {
    let saved = documents::get::<Site>(hub.state(), Some(company.no), id).await?;
    let minutes = saved.as_ref().and_then(|s| s.value.silent_after_minutes);
    let last_heard = hub.sites().last_heard(company.no, id).await?;
    Ok(why::Site {
        id: id.to_owned(),
        known: saved.is_some() || last_heard.is_some(),
        last_heard,
        silent_after: minutes.map(|m| Duration::from_secs(u64::from(m) * 60)),
    })
}

/// Looks for events that the caller may know of, the newest first if there are too many to look at.
pub async fn came(
    hub: &Hub,
    company: &Company,
    filter: &Filter,
    query: &WhyQuery,
    may_know: impl Fn(&Event) -> bool,
    most: usize,
) -> Result<Came> {
    let head = hub.log().head(company.no).await?;
    let begin = begin(hub, company, query).await?;
    let bounded = query.entity_id.is_some() && is_indexed(hub, company, head).await?;
    let mut at = if bounded { begin } else { begin.max(head.saturating_sub(MAX_LOOKED_BACK)) };
    let mut came = Came { received: Received::default(), newest: VecDeque::new(), complete: at == begin, head };
    while let Some((events, looked_to)) = candidates(hub, company.no, filter, at).await? {
        for event in events.into_iter().filter(|e| filter.matches(e) && may_know(e)) {
            if query.from.is_some_and(|t| event.accepted_at < t) {
                continue;
            }
            if query.to.is_some_and(|t| t <= event.accepted_at) {
                return Ok(came);
            }
            came.take(event, most);
        }
        at = looked_to;
        if at >= head {
            break;
        }
    }
    Ok(came)
}

/// Whether so little is not indexed that all of it may be looked through.
async fn is_indexed(hub: &Hub, company: &Company, head: Seq) -> Result<bool> {
    let floor = hub.log().floor(company.no).await?;
    Ok(hub.stores().index.reached(company.no, floor).await? + MAX_LOOKED_BACK >= head)
}

async fn begin(hub: &Hub, company: &Company, query: &WhyQuery) -> Result<Seq> {
    let day_ago = Time::from_millis(hub.now().millis() - DAY_MS);
    let bounded = query.entity_id.is_some() || query.business_date.is_some();
    let from = query.from.or(Some(day_ago).filter(|_| !bounded));
    Ok(match from {
        Some(time) => hub.log().before(company.no, time).await?,
        None => hub.log().floor(company.no).await?,
    })
}

impl Came {
    fn take(&mut self, event: Arc<Event>, most: usize) {
        self.received.count += 1;
        self.received.last_at = Some(event.accepted_at);
        if self.newest.len() == most {
            self.newest.pop_front();
        }
        self.newest.push_back(event);
    }
}

/// What became of what came at an integration: as facts, and as it is shown.
pub async fn lane(hub: &Hub, integration: &Integration, came: &Came, now: Time) -> Result<(Lane, WhyIntegration)> {
    let events: Vec<Arc<Event>> = came.newest.iter().cloned().collect();
    let judged = judge(hub, integration.no, &events).await?;
    let mut tally = Tally::default();
    judged.iter().for_each(|j| tally.add(j));
    let rules = rules(hub, integration, &judged).await?;
    tally.counts.unwanted = rules.iter().map(no).collect();
    let standing = standing(hub, integration, came.head).await?;
    let lane = Lane {
        id: integration.settings.id.clone(),
        stopped: stopped(hub, integration).await?,
        held_up: held_up(&standing, now),
        counts: tally.counts.clone(),
    };
    let view = WhyIntegration {
        integration: lane.id.clone(),
        status: integration.status,
        status_reason: integration.status_reason.clone(),
        answer: Default::default(),
        looked_at: events.len() as u64,
        circuit: standing.circuit(),
        delivered: DeliveredView {
            count: tally.counts.delivered,
            late: tally.counts.late,
            last_at: tally.delivered_last,
        },
        not_wanted: rules,
        rejected: tally.rejected.into_values().collect(),
        pending: PendingView::new(&tally.counts),
        deleted: tally.counts.deleted,
        before_start: tally.counts.before_start,
        settled: tally.counts.settled,
    };
    Ok((lane, view))
}

/// What became of events, counted.
#[derive(Default)]
struct Tally {
    counts: Counts,
    delivered_last: Option<Time>,
    rejected: BTreeMap<(String, Option<u16>), RejectedCount>,
}

impl Tally {
    fn add(&mut self, judged: &Judged) {
        let counts = &mut self.counts;
        match &judged.ended {
            Ended::BeforeStart => counts.before_start += 1,
            Ended::NotWanted(_) => {}
            Ended::Deleted => counts.deleted += 1,
            Ended::Settled => counts.settled += 1,
            Ended::Pending => counts.queued += 1,
            Ended::Parked(waits) => self.add_waiting(waits),
            Ended::Rejected(r) => self.add_rejected(&r.reason, r.last_status, r.at),
            Ended::Refused(at) => self.add_rejected("rejected", None, *at),
            Ended::Delivered(at) => {
                counts.delivered += 1;
                counts.late += u64::from(at.since(judged.event.accepted_at) > LATE_AFTER);
                self.delivered_last = self.delivered_last.max(Some(*at));
            }
        }
    }

    fn add_waiting(&mut self, waits: &Waits) {
        let counts = &mut self.counts;
        if waits.last_error.is_none() && waits.last_status.is_none() {
            counts.behind += 1;
            return;
        }
        counts.retrying += 1;
        counts.next_try = counts.next_try.into_iter().chain([waits.next_at]).min();
        counts.last_status = waits.last_status;
        counts.last_error = waits.last_error.clone();
    }

    fn add_rejected(&mut self, reason: &str, last_status: Option<u16>, at: Time) {
        let new = || RejectedCount { reason: reason.to_owned(), last_status, count: 0, last_at: at };
        let row = self.rejected.entry((reason.to_owned(), last_status)).or_insert_with(new);
        row.count += 1;
        row.last_at = row.last_at.max(at);
        self.counts.rejected = self.rejected.values().map(given_up).collect();
    }
}

fn given_up(row: &RejectedCount) -> GivenUp {
    GivenUp { reason: row.reason.clone(), status: row.last_status, count: row.count }
}

fn no(rule: &RuleView) -> No {
    let set = rule.set_by.as_ref().map(|s| Change { by: s.actor.clone(), at: s.at, reason: None });
    No { rule: rule.rule.clone(), count: rule.count, set }
}

/// The rules that said no, each with who set it: looked up for its newest event.
async fn rules(hub: &Hub, integration: &Integration, judged: &[Judged]) -> Result<Vec<RuleView>> {
    let mut rules: BTreeMap<String, (u64, &Judged, &Unwanted)> = BTreeMap::new();
    for judged in judged {
        if let Ended::NotWanted(no) = &judged.ended {
            let rule = rules.entry(no.place()).or_insert((0, judged, no));
            *rule = (rule.0 + 1, judged, no);
        }
    }
    let mut views = Vec::with_capacity(rules.len());
    for (rule, (count, judged, no)) in rules {
        let set_by = set_for(hub, integration, judged, no).await?;
        views.push(RuleView { rule, count, set_by });
    }
    Ok(views)
}

async fn set_for(hub: &Hub, integration: &Integration, judged: &Judged, no: &Unwanted) -> Result<Option<SetBy>> {
    match &judged.then {
        Some((version, _)) => Ok(set_by(hub, integration, *version, &judged.event, no).await?),
        None => Ok(None),
    }
}

/// Who stopped it, when and why; None when it runs.
async fn stopped(hub: &Hub, integration: &Integration) -> Result<Option<Change>> {
    if integration.status == Status::Running {
        return Ok(None);
    }
    let entries = hub.state().log_entries(integration.no, None, LOG_ENTRIES).await?.items;
    let entry = entries.into_iter().find(|e| e.action == "stopped");
    let (by, at) = entry.map_or_else(|| ("system".to_owned(), integration.updated_at), |e| (e.actor, e.at));
    Ok(Some(Change { by, at, reason: integration.status_reason.clone() }))
}

fn held_up(standing: &Standing, now: Time) -> Option<HeldUp> {
    let status = standing.lane.as_ref()?;
    let view = LaneView::from(status);
    match standing.circuit() {
        Circuit::Open => Some(HeldUp::Circuit { since: view.probing_since?, next_probe: view.next_probe? }),
        Circuit::Braked => Some(HeldUp::Brake { since: view.probing_since? }),
        Circuit::Closed if status.parked >= MAX_PARKED => Some(HeldUp::Full { parked: status.parked as u64 }),
        Circuit::Closed => view.paused_until.filter(|t| now < *t).map(|until| HeldUp::Paused { until }),
    }
}
