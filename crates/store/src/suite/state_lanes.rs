//! Lanes: what a commit keeps.

use futures_util::future::join_all;
use tillstream_model::Ranges;
use tillstream_model::integration::Status;

use super::samples::{attempt, entry, event, parked, rejected};
use super::state_integrations::{A, make};
use super::{Engine, START, assert_same};
use crate::state::{AttemptFilter, LaneCommit, LaneFigures, Totals};

pub(super) async fn a_commit_is_kept_as_a_whole(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let settled = Ranges::from(vec![(15, 17), (20, 20)]);
    let commit = LaneCommit {
        cursor: 13,
        settled: settled.clone(),
        park: vec![parked(14, None), parked(18, Some(event(18)))],
        reject: vec![rejected(12, START)],
        attempts: vec![attempt(12, 1, START)],
        add: Totals { delivered: 5, rejected: 1, expired: 2, failures: 3 },
        log: vec![entry("circuit_opened", START)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let add = Totals { delivered: 1, ..Totals::default() };
    let more = LaneCommit { cursor: 13, settled: settled.clone(), add, ..LaneCommit::default() };
    stores.state.commit(made.no, more).await.expect("commit");
    drop(stores);
    let stores = engine.open().await;
    let lane = stores.state.lane(made.no).await.expect("lane");
    assert_eq!((lane.cursor, lane.settled), (13, settled));
    assert_eq!(format!("{:?}", lane.parked), format!("{:?}", [parked(14, None), parked(18, Some(event(18)))]));
    let totals = Totals { delivered: 6, rejected: 1, expired: 2, failures: 3 };
    let figures = stores.state.lane_figures(made.no).await.expect("figures");
    assert_eq!(figures, LaneFigures { cursor: 13, parked: 2, totals });
    let given_up = stores.state.rejected_of(made.no, event(12).id).await.expect("rejected").expect("there is one");
    assert_eq!(format!("{:?}", given_up.rejected), format!("{:?}", rejected(12, START)));
    assert_eq!(stores.state.attempts_of(made.no, 12).await.expect("attempts"), [attempt(12, 1, START)]);
    let log = stores.state.log_entries(made.no, None, 1).await.expect("entries");
    assert_eq!(log.items, [entry("circuit_opened", START)]);
}

pub(super) async fn a_cursor_never_goes_down(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    for (cursor, expected) in [(9, 10), (20, 20), (19, 20), (21, 21)] {
        stores.state.commit(made.no, LaneCommit { cursor, ..LaneCommit::default() }).await.expect("commit");
        assert_eq!(stores.state.lane(made.no).await.expect("lane").cursor, expected);
    }
}

pub(super) async fn a_moved_cursor_leaves_everything_else(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let settled = Ranges::from(vec![(30, 31)]);
    let commit =
        LaneCommit { cursor: 20, settled: settled.clone(), park: vec![parked(15, None)], ..LaneCommit::default() };
    stores.state.commit(made.no, commit).await.expect("commit");
    for (cursor, expected) in [(19, 20), (25, 25)] {
        stores.state.advance(made.no, 0, cursor).await.expect("advance");
        let lane = stores.state.lane(made.no).await.expect("lane");
        assert_eq!((lane.cursor, &lane.settled, lane.parked.len()), (expected, &settled, 1));
    }
}

pub(super) async fn a_waiting_event_is_replaced_and_removed(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let park = async |park, unpark| {
        stores.state.commit(made.no, LaneCommit { park, unpark, ..LaneCommit::default() }).await.expect("commit");
    };
    park(vec![parked(5, Some(event(5))), parked(6, None)], vec![]).await;
    let mut next = parked(5, None);
    next.attempts = 3;
    park(vec![next], vec![6]).await;
    let found = stores.state.parked_of(made.no, 5).await.expect("parked").expect("there is one");
    assert_eq!(found.attempts, 3);
    assert_same(found.event.as_deref().expect("its event stays"), &event(5));
    assert!(stores.state.parked_of(made.no, 6).await.expect("parked").is_none());
    park(vec![], vec![5, 77]).await;
    assert!(stores.state.lane(made.no).await.expect("lane").parked.is_empty());
}

pub(super) async fn an_integration_is_stopped_in_the_commit_that_says_so(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let commit = LaneCommit {
        cursor: 12,
        stop: Some("circuit open for 15 minutes".into()),
        log: vec![entry("stopped", START)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let now = stores.state.integration(A, "erp").await.expect("integration").expect("there is one");
    assert_eq!((now.status, now.status_reason.as_deref()), (Status::Stopped, Some("circuit open for 15 minutes")));
    assert_eq!(stores.state.lane(made.no).await.expect("lane").cursor, 12);
    assert!(stores.state.lane_heads().await.expect("heads").is_empty());
}

pub(super) async fn lane_heads_list_running_integrations_with_their_work(engine: &impl Engine) {
    let stores = engine.open().await;
    let (idle, waiting, ahead) =
        (make(&*stores.state, "a").await, make(&*stores.state, "b").await, make(&*stores.state, "c").await);
    make(&*stores.state, "d").await;
    stores.state.set_status(A, "d", Status::Stopped, entry("stopped", START)).await.expect("stop");
    let park = LaneCommit { cursor: 12, park: vec![parked(11, None)], ..LaneCommit::default() };
    stores.state.commit(waiting.no, park).await.expect("commit");
    let settled = LaneCommit { cursor: 13, settled: Ranges::from(vec![(15, 15)]), ..LaneCommit::default() };
    stores.state.commit(ahead.no, settled).await.expect("commit");
    let heads = stores.state.lane_heads().await.expect("heads");
    let found: Vec<_> = heads.iter().map(|h| (h.integration.no, h.cursor, h.unfinished)).collect();
    assert_eq!(found, [(idle.no, 10, false), (waiting.no, 12, true), (ahead.no, 13, true)]);
    assert_eq!(heads[0].integration, idle);
}

pub(super) async fn many_commits_at_once_are_all_kept(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let commit = async |seq: u64| {
        let add = Totals { delivered: 1, ..Totals::default() };
        let attempts = vec![attempt(seq, 2, START)];
        let commit = LaneCommit { cursor: seq, attempts, add, ..LaneCommit::default() };
        stores.state.commit(made.no, commit).await.expect("commit");
    };
    join_all((1..=100).map(commit)).await;
    let figures = stores.state.lane_figures(made.no).await.expect("figures");
    assert_eq!((figures.cursor, figures.totals.delivered), (100, 100));
    let page = stores.state.attempts(A, &AttemptFilter::default(), None, 200).await.expect("attempts");
    assert_eq!(page.items.len(), 100);
}
