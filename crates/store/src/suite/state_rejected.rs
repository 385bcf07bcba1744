//! Rejected events.

use std::time::Duration;

use super::samples::{event, parked, rejected};
use super::state_integrations::make;
use super::{Engine, START, assert_same};
use crate::state::{LaneCommit, Parked, REJECTED_DAYS};

pub(super) async fn rejected_events_are_paged_newest_first(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    for seq in 1..=5 {
        let reject = vec![rejected(seq, START + Duration::from_secs(seq / 2))];
        stores.state.commit(made.no, LaneCommit { reject, ..LaneCommit::default() }).await.expect("commit");
    }
    let (mut seqs, mut after) = (Vec::new(), None);
    loop {
        let page = stores.state.rejected(made.no, after.as_deref(), 2).await.expect("rejected");
        assert!(page.items.len() <= 2);
        seqs.extend(page.items.iter().map(|row| row.rejected.event.seq));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seqs, [5, 4, 3, 2, 1]);
    let row = stores.state.rejected_of(made.no, event(3).id).await.expect("rejected").expect("there is one");
    assert!(stores.state.rejected_of(other.no, event(3).id).await.expect("rejected").is_none());
    assert!(!stores.state.delete_rejected(other.no, row.id).await.expect("delete"), "another integration's");
    assert!(stores.state.delete_rejected(made.no, row.id).await.expect("delete"));
    assert!(!stores.state.delete_rejected(made.no, row.id).await.expect("delete"));
    assert!(stores.state.rejected(made.no, Some("nonsense"), 2).await.is_err());
}

pub(super) async fn of_two_retries_one_parks_the_event(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    let reject = vec![rejected(3, START)];
    stores.state.commit(made.no, LaneCommit { reject, ..LaneCommit::default() }).await.expect("commit");
    let id = stores.state.rejected(made.no, None, 1).await.expect("rejected").items[0].id;
    let now = START + Duration::from_secs(9);
    let retry = |no| stores.state.retry_rejected(no, id, now);
    assert!(!retry(other.no).await.expect("retry"), "another integration's");
    let (one, two) = tokio::join!(retry(made.no), retry(made.no));
    assert!(one.expect("retry") != two.expect("retry"), "exactly one call does it");
    assert!(stores.state.rejected(made.no, None, 1).await.expect("rejected").items.is_empty());
    let parked = stores.state.parked_of(made.no, 3).await.expect("parked").expect("it waits");
    assert_eq!((parked.attempts, parked.next_at, parked.key), (0, now, event(3).content.key()));
    assert_eq!(parked.accepted_at, event(3).accepted_at);
    assert_same(parked.event.as_deref().expect("with its payload"), &event(3));
}

pub(super) async fn a_rejected_event_that_is_deleted_lets_its_entity_go(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let held = |seq| Parked { held: true, ..parked(seq, None) };
    let commit = LaneCommit {
        reject: vec![rejected(3, START), rejected(4, START), rejected(5, START)],
        park: vec![held(3), held(4), parked(5, None)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let of = async |seq| stores.state.parked_of(made.no, seq).await.expect("parked").map(|p| p.held);
    assert_eq!((of(3).await, of(5).await), (Some(true), Some(false)));
    for seq in [3, 5] {
        let row = stores.state.rejected_of(made.no, event(seq).id).await.expect("rejected").expect("there is one");
        assert!(stores.state.delete_rejected(made.no, row.id).await.expect("delete"));
    }
    assert_eq!((of(3).await, of(5).await), (None, Some(false)), "what only waits stays");
    let row = stores.state.rejected_of(made.no, event(4).id).await.expect("rejected").expect("there is one");
    assert!(stores.state.retry_rejected(made.no, row.id, START).await.expect("retry"));
    assert_eq!(of(4).await, Some(false), "one that is tried again has its turn");
}

pub(super) async fn rejected_events_go_after_their_time(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let reject = (0..50).map(|seq| rejected(seq, START + Duration::from_secs(seq))).collect();
    stores.state.commit(made.no, LaneCommit { reject, ..LaneCommit::default() }).await.expect("commit");
    let left = async |now| {
        stores.state.sweep(now).await.expect("sweep");
        stores.state.rejected(made.no, None, 100).await.expect("rejected").items.len()
    };
    let end = START + Duration::from_secs(REJECTED_DAYS as u64 * 86_400);
    assert_eq!(left(START).await, 50);
    assert_eq!(left(end).await, 49, "after exactly that long it goes");
    assert_eq!(left(end + Duration::from_secs(48)).await, 1);
    let id = stores.state.rejected(made.no, None, 1).await.expect("rejected").items[0].id;
    stores.state.delete_rejected(made.no, id).await.expect("delete");
    let reject = vec![rejected(60, START)];
    stores.state.commit(made.no, LaneCommit { reject, ..LaneCommit::default() }).await.expect("commit");
    assert!(stores.state.rejected(made.no, None, 1).await.expect("rejected").items[0].id > id, "an id was used again");
}
