//! Statistics, and where lanes stand.

use std::time::Duration;

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, Time};

use super::samples::{entry, parked, settings};
use super::state_integrations::{A, make};
use super::{Engine, START, reopen};
use crate::State;
use crate::state::{Bucket, Counts, LaneCommit, LaneSummary, Resolution};

const B: CompanyNo = CompanyNo(2);
/// The minute in which every clause begins.
const FIRST: Time = START;

fn counts(n: u64) -> Counts {
    Counts { accepted: n, delivered: n + 1, rejected: n + 2, expired: n + 3, failures: n + 4 }
}

fn bucket(company: CompanyNo, resolution: Resolution, at: Time, n: u64) -> Bucket {
    Bucket { company, resolution, at, counts: counts(n) }
}

async fn all(state: &dyn State, company: CompanyNo, resolution: Resolution) -> Vec<(Time, Counts)> {
    state.statistics(company, resolution, Time::default(), Time::from_millis(i64::MAX)).await.expect("statistics")
}

pub(super) async fn what_is_added_adds_up_and_belongs_to_its_company(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let later = FIRST + Duration::from_secs(60);
    let (minute, hour) = (Resolution::Minute, Resolution::Hour);
    let batch = || vec![bucket(A, minute, later, 10), bucket(A, minute, FIRST, 1), bucket(A, hour, FIRST, 100)];
    let (one, other) = tokio::join!(state.add_statistics(batch()), state.add_statistics(batch()));
    one.and(other).expect("added");
    state.add_statistics(vec![bucket(B, minute, FIRST, 7)]).await.expect("added");
    state.add_statistics(vec![]).await.expect("nothing");
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let twice = |n| {
        let mut sum = counts(n);
        sum += counts(n);
        sum
    };
    assert_eq!(all(state, A, minute).await, [(FIRST, twice(1)), (later, twice(10))]);
    assert_eq!(all(state, A, hour).await, [(FIRST, twice(100))]);
    assert_eq!(all(state, B, minute).await, [(FIRST, counts(7))]);
    assert!(all(state, B, hour).await.is_empty());
    let span = state.statistics(A, minute, FIRST, later).await.expect("statistics");
    assert_eq!(span, [(FIRST, twice(1))], "the end is not part of it");
    assert!(state.statistics(A, minute, later + Duration::from_secs(1), later).await.expect("statistics").is_empty());
}

pub(super) async fn statistics_go_after_their_time(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let (minute, hour) = (Resolution::Minute, Resolution::Hour);
    let next = |resolution: Resolution| FIRST + Duration::from_secs(resolution.seconds().into());
    for resolution in Resolution::ALL {
        let buckets = vec![bucket(A, resolution, FIRST, 1), bucket(A, resolution, next(resolution), 2)];
        state.add_statistics(buckets).await.expect("added");
    }
    state.sweep(FIRST + minute.kept()).await.expect("sweep");
    assert_eq!(all(state, A, minute).await, [(next(minute), counts(2))]);
    assert_eq!(all(state, A, hour).await.len(), 2);
    state.sweep(FIRST + hour.kept()).await.expect("sweep");
    assert!(all(state, A, minute).await.is_empty());
    assert_eq!(all(state, A, hour).await, [(next(hour), counts(2))]);
}

pub(super) async fn all_lanes_of_a_company_are_told_at_once(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let (busy, idle) = (make(state, "erp").await, make(state, "web").await);
    state.create_integration(B, settings("erp", "x"), 0, entry("created", START)).await.expect("another company's");
    let waiting = [parked(14, None), parked(18, None)];
    let commit = LaneCommit { cursor: 20, park: waiting.to_vec(), ..LaneCommit::default() };
    state.commit(busy.no, commit).await.expect("commit");
    state.set_status(A, "web", Status::Stopped, entry("stopped", START)).await.expect("stop");
    let [first, _] = &waiting;
    let busy =
        LaneSummary { no: busy.no, running: true, cursor: 20, parked: 2, oldest_parked: Some(first.accepted_at) };
    let idle = LaneSummary { no: idle.no, running: false, cursor: 10, parked: 0, oldest_parked: None };
    assert_eq!(state.lane_summaries(A).await.expect("lanes"), [busy, idle]);
    assert!(state.lane_summaries(CompanyNo(9)).await.expect("lanes").is_empty());
}
