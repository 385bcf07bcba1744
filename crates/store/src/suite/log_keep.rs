//! Retention: what is dropped, and what is known of it afterwards.

use tillstream_model::{Seq, Time};

use super::log_append::{A, B, append_to, later, new, seqs, texts};
use super::{Engine, START, reopen};
use crate::{Log, Retention, Stores};

/// The moment when everything accepted on the first day has had its days.
fn end_of(retention: Retention) -> Time {
    Time::from_millis((START.day() + 1 + retention.days()) * tillstream_model::time::DAY_MS)
}

async fn due(log: &dyn Log, now: Time) -> Vec<Vec<(u32, Seq)>> {
    let due = log.due(now).await.expect("due");
    due.into_iter().map(|d| d.companies.into_iter().map(|(c, seq)| (c.0, seq)).collect()).collect()
}

pub(super) async fn segments_are_due_after_their_retention(engine: &impl Engine) {
    let stores = engine.open().await;
    append_to(&*stores.log, A, Retention::Week, texts(0..3)).await;
    append_to(&*stores.log, B, Retention::Month, texts(0..2)).await;
    engine.set_time(later(1));
    append_to(&*stores.log, B, Retention::Week, texts(0..1)).await;
    let end = end_of(Retention::Week);
    let almost = Time::from_millis(end.millis() - 1);
    assert!(due(&*stores.log, almost).await.is_empty());
    assert_eq!(due(&*stores.log, end).await, [vec![(1, 3)]]);
    assert_eq!(due(&*stores.log, end_of(Retention::Month)).await, [vec![(1, 3)], vec![(2, 2)], vec![(2, 3)]]);
}

async fn drop_all(stores: &Stores, now: Time) {
    for segment in stores.log.due(now).await.expect("due") {
        stores.log.drop_segment(&segment.name).await.expect("drop");
        stores.log.drop_segment(&segment.name).await.expect("a second time changes nothing");
    }
}

pub(super) async fn heads_and_floors_outlive_dropped_segments(engine: &impl Engine) {
    let mut stores = engine.open().await;
    let id = new(&append_to(&*stores.log, A, Retention::Week, texts(0..5)).await[0]).1;
    engine.set_time(later(1));
    append_to(&*stores.log, B, Retention::Week, texts(0..2)).await;
    let end = end_of(Retention::Week);
    engine.set_time(end);
    assert_eq!(stores.log.floor(A).await.expect("floor"), 0);
    drop_all(&stores, end).await;
    for _ in 0..2 {
        assert_eq!(stores.log.floor(A).await.expect("floor"), 5);
        assert_eq!(stores.log.head(A).await.expect("head"), 5);
        assert_eq!(stores.log.before(A, later(0)).await.expect("before"), 5);
        assert_eq!((stores.log.floor(B).await.expect("floor"), stores.log.head(B).await.expect("head")), (0, 2));
        stores = reopen(engine, stores).await;
    }
    assert!(seqs(&*stores.log, A, 0).await.is_empty());
    assert!(stores.log.find(A, id).await.expect("find").is_none());
    assert!(stores.log.get(A, &[1, 5]).await.expect("get").is_empty());
    assert_eq!(new(&append_to(&*stores.log, A, Retention::Week, texts(0..1)).await[0]).0, 6, "a seq was used again");
    assert_eq!(seqs(&*stores.log, A, 0).await, [6]);
    assert_eq!(seqs(&*stores.log, B, 0).await, [1, 2]);
}

pub(super) async fn a_change_of_retention_keeps_the_order(engine: &impl Engine) {
    let stores = engine.open().await;
    for round in 0..12 {
        let retention = Retention::ALL[round % 4];
        append_to(&*stores.log, A, retention, texts(0..2)).await;
    }
    let all: Vec<Seq> = (1..=24).collect();
    assert_eq!(seqs(&*stores.log, A, 0).await, all);
    drop(stores);
    let stores = engine.open().await;
    assert_eq!(seqs(&*stores.log, A, 0).await, all);
    assert_eq!(seqs(&*stores.log, A, 4).await, all[4..]);
    let found: Vec<_> = stores.log.get(A, &all).await.expect("get").iter().map(|e| e.seq).collect();
    assert_eq!(found, all);
    let end = end_of(Retention::Week);
    engine.set_time(end);
    drop_all(&stores, end).await;
    let kept: Vec<Seq> = all.into_iter().filter(|seq| (seq - 1) / 2 % 4 != 0).collect();
    assert_eq!(seqs(&*stores.log, A, 0).await, kept, "memory does not outlive the disk");
    let stores = reopen(engine, stores).await;
    assert_eq!(seqs(&*stores.log, A, 0).await, kept);
    assert_eq!(stores.log.floor(A).await.expect("floor"), 18, "the last position that is no longer kept");
    assert_eq!(stores.log.head(A).await.expect("head"), 24);
}
