//! Replays: what is kept of one, and what it asks of the lists.

use std::collections::BTreeSet;
use std::time::Duration;

use super::samples::{attempt, entry, event, parked, rejected};
use super::state_integrations::{A, make};
use super::{Engine, START, assert_same, reopen};
use crate::state::{LaneCommit, Replay};

fn replay(id: &str, body: &str) -> Replay {
    Replay { id: id.into(), body: body.into() }
}

pub(super) async fn a_replay_is_started_once_and_moved_on_with_the_outcomes_of_its_lane(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let started = || entry("replay_started", START);
    assert!(stores.state.start_replay(made.no, replay("one", "{}"), started()).await.expect("start"));
    assert!(!stores.state.start_replay(made.no, replay("two", "{}"), started()).await.expect("start"), "one at a time");
    let commit = |id: &str, body: &str| LaneCommit { replay: Some(replay(id, body)), ..LaneCommit::default() };
    stores.state.commit(made.no, commit("one", r#"{"at":7}"#)).await.expect("commit");
    stores.state.commit(made.no, commit("two", r#"{"at":8}"#)).await.expect("commit");
    let stores = reopen(engine, stores).await;
    let saved = Some(replay("one", r#"{"at":7}"#));
    assert_eq!(stores.state.replay(made.no).await.expect("replay"), saved);
    assert_eq!(stores.state.lane(made.no).await.expect("lane").replay, saved);
    let heads = stores.state.lane_heads().await.expect("heads");
    assert!(heads.iter().all(|head| head.unfinished), "the lane has work");
    let ended = || entry("replay_finished", START);
    assert!(!stores.state.end_replay(made.no, "two", ended()).await.expect("end"), "another one");
    assert!(stores.state.end_replay(made.no, "one", ended()).await.expect("end"));
    assert!(!stores.state.end_replay(made.no, "one", ended()).await.expect("end"));
    assert_eq!(stores.state.replay(made.no).await.expect("replay"), None);
    let log = stores.state.log_entries(made.no, None, 2).await.expect("entries").items;
    assert_eq!(log, [ended(), started()], "each said once");
}

pub(super) async fn a_replay_goes_with_its_integration(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let started = || entry("replay_started", START);
    assert!(stores.state.start_replay(made.no, replay("one", "{}"), started()).await.expect("start"));
    assert!(stores.state.delete_integration(A, "erp").await.expect("delete"));
    assert!(!stores.state.start_replay(made.no, replay("two", "{}"), started()).await.expect("start"));
    stores.state.sweep(START).await.expect("sweep");
    assert_eq!(stores.state.replay(made.no).await.expect("replay"), None);
}

pub(super) async fn what_was_delivered_waits_or_is_rejected_is_told_of_many_at_once(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    let later = START + Duration::from_secs(2 * 86_400);
    let commit = LaneCommit {
        attempts: vec![attempt(1, 2, START), attempt(2, 2, later), attempt(3, 1, START)],
        park: vec![parked(4, None)],
        reject: vec![rejected(5, START), rejected(6, START)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let seqs: Vec<u64> = (1..=6).collect();
    let among = async |no, since| stores.state.delivered_among(no, since, &seqs).await.expect("delivered");
    assert_eq!(among(made.no, START).await, BTreeSet::from([1, 2]));
    assert_eq!(among(made.no, later).await, BTreeSet::from([2]), "only days since then are looked at");
    assert_eq!(among(other.no, START).await, BTreeSet::new());
    assert_eq!(stores.state.parked_among(made.no, &seqs).await.expect("parked"), BTreeSet::from([4]));
    assert_eq!(stores.state.parked_among(other.no, &seqs).await.expect("parked"), BTreeSet::new());
    let ids: Vec<_> = seqs.iter().map(|seq| event(*seq).id).collect();
    let found = stores.state.rejected_among(made.no, &ids).await.expect("rejected");
    assert_eq!(found, BTreeSet::from([event(5).id, event(6).id]));
    assert!(stores.state.delivered_among(made.no, START, &[]).await.expect("none").is_empty());
}

pub(super) async fn what_a_replay_delivered_is_not_rejected_any_more(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    for no in [made.no, other.no] {
        let reject = vec![rejected(5, START), rejected(6, START)];
        stores.state.commit(no, LaneCommit { reject, ..LaneCommit::default() }).await.expect("commit");
    }
    let again = START + Duration::from_secs(60);
    let commit = LaneCommit {
        unreject: vec![event(5).id, event(6).id],
        reject: vec![rejected(6, again)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let left = stores.state.rejected(made.no, None, 10).await.expect("rejected").items;
    assert_eq!(left.iter().map(|r| (r.rejected.event.seq, r.rejected.at)).collect::<Vec<_>>(), [(6, again)]);
    assert_eq!(stores.state.rejected(other.no, None, 10).await.expect("rejected").items.len(), 2);
}

pub(super) async fn an_event_is_parked_to_be_sent_again_unless_it_waits(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let commit = LaneCommit { park: vec![parked(4, None)], ..LaneCommit::default() };
    stores.state.commit(made.no, commit).await.expect("commit");
    let now = START + Duration::from_secs(9);
    let again = async |seq| stores.state.send_again(made.no, event(seq), now).await.expect("send again");
    assert!(!again(4).await && again(5).await && !again(5).await);
    let row = stores.state.parked_of(made.no, 5).await.expect("parked").expect("it waits");
    assert_eq!((row.attempts, row.next_at, row.last_status), (0, now, None));
    assert_same(row.event.as_deref().expect("with its payload"), &event(5));
    assert!(stores.state.delete_integration(A, "erp").await.expect("delete"));
    assert!(!again(6).await);
}
