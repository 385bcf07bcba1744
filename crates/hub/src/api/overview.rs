//! `GET /v1/overview`: how a company's events flow, in figures (`contracts/hub-api.md`, "The rest").

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tillstream_model::{CompanyNo, IntegrationNo, Seq, Time};
use tillstream_store::ReadLimit;
use tillstream_store::state::{Counts, LaneSummary, Resolution};
use utoipa::ToSchema;

use super::docs::Denied;
use super::extract::Caller;
use super::lane_view::{Circuit, circuit_of};
use crate::Hub;
use crate::access::Scope;
use crate::deliver::LaneStatus;
use crate::problem::{Kind, Problem, Result};
use crate::sites::Figures as SiteFigures;

/// How many minutes are shown.
pub const MINUTES: u32 = 60;
/// How many hours are shown.
pub const HOURS: u32 = 30 * 24;

/// How a company's events flow.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// As of when.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub at: Time,
    /// What waits now.
    pub pending: Pending,
    /// How the integrations are.
    pub integrations: IntegrationFigures,
    /// How the sites are.
    pub sites: SiteFigures,
    /// The last hour by the minute, oldest first, the one that has begun included.
    pub minutes: Vec<BucketView>,
    /// The last 30 days by the hour, oldest first, the one that has begun included.
    pub hours: Vec<BucketView>,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pending {
    /// Events of the log that running integrations have before them, each counted for each of them, unwanted ones too.
    pub events: u64,
    /// Events that wait for their next attempt, or behind one that does.
    pub parked: u64,
    /// Events that stopped integrations have before them.
    pub of_stopped: u64,
    /// When the oldest was accepted that a running integration has not settled.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub oldest_accepted_at: Option<Time>,
}

/// Integrations by how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct IntegrationFigures {
    /// All.
    pub total: u64,
    /// Their receivers are asked freely.
    pub healthy: u64,
    /// Their receivers fail; one probe at a time.
    pub failing: u64,
    /// Their receivers refuse too much; one probe at a time.
    pub braked: u64,
    /// Somebody or something stopped them.
    pub stopped: u64,
    /// They are to run and no node says that it runs them.
    pub unknown: u64,
}

/// What was counted in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Bucket)]
pub struct BucketView {
    /// When it begins.
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00.000Z")]
    pub at: Time,
    /// Events accepted.
    pub accepted: u64,
    /// Deliveries that succeeded.
    pub delivered: u64,
    /// Deliveries rejected, expired ones not counted.
    pub rejected: u64,
    /// Deliveries that became too old.
    pub expired: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
}

/// Show how events flow
///
/// Of the whole company, so not for keys that are bound to sites or integrations. What was counted shows after a few
/// seconds; a hub that is killed forgets the last few.
#[utoipa::path(
    get, path = "/v1/overview", tag = "overview",
    responses((status = 200, description = "The figures", body = Overview), Denied)
)]
pub async fn read_overview(State(hub): State<Hub>, caller: Caller) -> Result<Json<Overview>> {
    let company = caller.company(Scope::DeliveriesRead)?;
    if !caller.bound_sites().is_empty() || !caller.bound_integrations().is_empty() {
        return Err(Problem::new(
            Kind::Forbidden,
            "the overview is of the whole company, and the key is bound to some of it",
        ));
    }
    let now = hub.now();
    let (pending, integrations) = standing(&hub, company.no).await?;
    Ok(Json(Overview {
        at: now,
        pending,
        integrations,
        sites: hub.sites().figures(company.no, now).await?,
        minutes: counted(&hub, company.no, Resolution::Minute, MINUTES, now).await?,
        hours: counted(&hub, company.no, Resolution::Hour, HOURS, now).await?,
    }))
}

async fn counted(
    hub: &Hub,
    company: CompanyNo,
    resolution: Resolution,
    count: u32,
    now: Time,
) -> Result<Vec<BucketView>> {
    let starts = starts(resolution, count, now);
    let from = starts.first().copied().unwrap_or(now);
    let to = now + Duration::from_millis(1);
    let found: HashMap<Time, Counts> =
        hub.state().statistics(company, resolution, from, to).await?.into_iter().collect();
    Ok(starts.into_iter().map(|at| bucket(at, found.get(&at).copied().unwrap_or_default())).collect())
}

/// When the last so many buckets begin, oldest first.
fn starts(resolution: Resolution, count: u32, now: Time) -> Vec<Time> {
    let (last, length) = (resolution.start(now).millis(), i64::from(resolution.seconds()) * 1_000);
    (0..i64::from(count)).rev().map(|back| Time::from_millis(last - back * length)).collect()
}

fn bucket(at: Time, counts: Counts) -> BucketView {
    let Counts { accepted, delivered, rejected, expired, failures } = counts;
    BucketView { at, accepted, delivered, rejected, expired, failed_attempts: failures }
}

async fn standing(hub: &Hub, company: CompanyNo) -> Result<(Pending, IntegrationFigures)> {
    let head = hub.log().head(company).await?;
    let saved = hub.state().lane_summaries(company).await?;
    let lanes = hub.deliver().lanes(company).await?;
    let (mut pending, figures, behind) = sum(&saved, &lanes, head);
    if let Some(cursor) = behind {
        let one = ReadLimit { events: 1, bytes: 1 };
        let first = hub.log().read(company, cursor, one).await?.first().map(|e| e.accepted_at);
        pending.oldest_accepted_at = pending.oldest_accepted_at.into_iter().chain(first).min();
    }
    Ok((pending, figures))
}

/// Sums up; the last is the lowest cursor of a running integration that has events before it.
fn sum(
    saved: &[LaneSummary],
    lanes: &BTreeMap<IntegrationNo, LaneStatus>,
    head: Seq,
) -> (Pending, IntegrationFigures, Option<Seq>) {
    let (mut pending, mut figures, mut behind) = (Pending::default(), IntegrationFigures::default(), None);
    for summary in saved {
        let lane = lanes.get(&summary.no);
        // A running lane is ahead of what it saved.
        let cursor = lane.map_or(0, |lane| lane.cursor).max(summary.cursor);
        let lag = head.saturating_sub(cursor);
        figures.total += 1;
        *figures.place(summary.running, lane) += 1;
        if !summary.running {
            pending.of_stopped += lag + summary.parked;
            continue;
        }
        pending.events += lag;
        pending.parked += lane.map_or(summary.parked, |lane| lane.parked as u64);
        pending.oldest_accepted_at = pending.oldest_accepted_at.into_iter().chain(summary.oldest_parked).min();
        if lag > 0 {
            behind = Some(behind.map_or(cursor, |lowest: Seq| lowest.min(cursor)));
        }
    }
    (pending, figures, behind)
}

impl IntegrationFigures {
    fn place(&mut self, running: bool, lane: Option<&LaneStatus>) -> &mut u64 {
        match lane.map(|lane| circuit_of(&lane.health)) {
            _ if !running => &mut self.stopped,
            None => &mut self.unknown,
            Some(Circuit::Closed) => &mut self.healthy,
            Some(Circuit::Open) => &mut self.failing,
            Some(Circuit::Braked) => &mut self.braked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::Health;

    fn summary(no: u64, running: bool, cursor: Seq, parked: u64) -> LaneSummary {
        let oldest_parked = (parked > 0).then(|| Time::from_millis(no as i64));
        LaneSummary { no: IntegrationNo(no), running, cursor, parked, oldest_parked }
    }

    fn lane(no: u64, cursor: Seq, parked: usize, cause: Option<&'static str>) -> (IntegrationNo, LaneStatus) {
        let (since, next_probe) = (Time::default(), Time::default());
        let health = cause.map_or(Health::Flowing, |cause| Health::Probing { cause: cause.into(), since, next_probe });
        let (in_flight, window, held, oldest, paused_until, next_retry) = (0, 2, 0, None, None, None);
        let status = LaneStatus { cursor, in_flight, window, parked, held, oldest, health, paused_until, next_retry };
        (IntegrationNo(no), status)
    }

    #[test]
    fn what_running_integrations_have_before_them_is_apart_from_what_stopped_ones_have() {
        let saved = [
            summary(1, true, 5, 0),
            summary(2, true, 90, 3),
            summary(3, false, 40, 2),
            summary(4, true, 10, 0),
            summary(5, true, 100, 0),
        ];
        let lanes =
            BTreeMap::from([lane(1, 98, 0, None), lane(2, 80, 4, Some("circuit")), lane(4, 100, 0, Some("brake"))]);
        let (pending, figures, behind) = sum(&saved, &lanes, 100);
        let oldest_accepted_at = Some(Time::from_millis(2));
        assert_eq!(pending, Pending { events: 2 + 10, parked: 4, of_stopped: 62, oldest_accepted_at });
        assert_eq!(behind, Some(90));
        let expected = IntegrationFigures { total: 5, healthy: 1, failing: 1, braked: 1, stopped: 1, unknown: 1 };
        assert_eq!(figures, expected);
    }

    #[test]
    fn buckets_end_with_the_one_that_has_begun() {
        let now: Time = "2026-11-21T10:00:30Z".parse().unwrap();
        let minutes = starts(Resolution::Minute, MINUTES, now);
        assert_eq!((minutes.len(), minutes[0].to_string()), (60, "2026-11-21T09:01:00.000Z".into()));
        assert_eq!(minutes[59].to_string(), "2026-11-21T10:00:00.000Z");
        let hours = starts(Resolution::Hour, HOURS, now);
        assert_eq!((hours.len(), hours[0].to_string()), (720, "2026-10-22T11:00:00.000Z".into()));
    }
}
