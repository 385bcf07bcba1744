//! Reading and finding.

use std::sync::Arc;
use std::time::Duration;

use tillstream_model::{Event, EventId, Seq, Time};

use super::log_append::{A, ALL, B, append, later, new, seqs, texts};
use super::{Engine, START, assert_same, content, full_content, reopen};
use crate::{Log, ReadLimit};

pub(super) async fn an_event_reads_back_in_every_field(engine: &impl Engine) {
    let stores = engine.open().await;
    let sent = [full_content("c-1"), content("order.saved", "x")];
    let answers = append(&*stores.log, A, sent.to_vec()).await;
    drop(stores);
    let stores = engine.open().await;
    let found = stores.log.read(A, 0, ALL).await.expect("read");
    for ((found, content), answer) in found.iter().zip(sent).zip(&answers) {
        let (seq, id) = new(answer);
        assert_same(found, &Event { company: A, seq, id, accepted_at: START, content });
    }
    assert_eq!(found.len(), 2);
}

pub(super) async fn a_read_ends_at_its_limits_with_at_least_one_event(engine: &impl Engine) {
    let stores = engine.open().await;
    append(&*stores.log, A, texts(100..110)).await;
    let size = stores.log.read(A, 0, ALL).await.expect("read")[0].content.size();
    drop(stores);
    for from_memory in [false, true] {
        let stores = engine.open().await;
        if from_memory {
            append(&*stores.log, A, texts(110..120)).await;
        }
        let after = if from_memory { 10 } else { 0 };
        for (events, bytes, expected) in
            [(3, usize::MAX, 3), (0, 0, 1), (9, 1, 1), (9, 2 * size, 2), (9, 2 * size + 1, 3), (10, usize::MAX, 10)]
        {
            let found = stores.log.read(A, after, ReadLimit { events, bytes }).await.expect("read");
            assert_eq!(found.len(), expected, "{events} events, {bytes} bytes, memory: {from_memory}");
        }
    }
}

pub(super) async fn memory_and_disk_give_the_same(engine: &impl Engine) {
    let stores = engine.open().await;
    append(&*stores.log, A, texts(0..50)).await;
    append(&*stores.log, A, vec![full_content("c")]).await;
    let memory = stores.log.read(A, 0, ALL).await.expect("read");
    assert!(seqs(&*stores.log, A, 51).await.is_empty());
    assert!(seqs(&*stores.log, A, Seq::MAX).await.is_empty());
    drop(stores);
    let stores = engine.open().await;
    let disk = stores.log.read(A, 0, ALL).await.expect("read");
    assert_eq!(memory.len(), disk.len());
    for (memory, disk) in memory.iter().zip(&disk) {
        assert_same(disk, memory);
    }
    assert_eq!(seqs(&*stores.log, A, 48).await, [49, 50, 51]);
    assert!(seqs(&*stores.log, A, 51).await.is_empty());
    assert!(seqs(&*stores.log, A, Seq::MAX).await.is_empty());
}

pub(super) async fn events_are_found_by_id_and_position(engine: &impl Engine) {
    let mut ids = Vec::new();
    for day in 0..3 {
        engine.set_time(later(day));
        let stores = engine.open().await;
        for answer in append(&*stores.log, A, texts(0..20)).await {
            ids.push(new(&answer));
        }
        check_found(&*stores.log, &ids).await;
    }
    let stores = engine.open().await;
    check_found(&*stores.log, &ids).await;
    let unknown = EventId::new(START, [7; 10]);
    assert!(stores.log.find(A, unknown).await.expect("find").is_none());
    assert!(stores.log.find(A, EventId::new(later(900), [7; 10])).await.expect("find").is_none());
}

async fn check_found(log: &dyn Log, ids: &[(Seq, EventId)]) {
    for (seq, id) in ids {
        let found = log.find(A, *id).await.expect("find").map(|e: Arc<Event>| e.seq);
        assert_eq!(found, Some(*seq));
    }
    let last = ids.len() as Seq;
    let asked = [last, 1, 2, 99_999, last / 2, 1, 0];
    let found: Vec<_> = log.get(A, &asked).await.expect("get").iter().map(|e| e.seq).collect();
    let mut expected = vec![1, 2, last / 2, last];
    expected.dedup();
    assert_eq!(found, expected);
}

pub(super) async fn before_gives_the_last_position_of_an_older_time(engine: &impl Engine) {
    let mut stores = engine.open().await;
    let at = |n: u64| later(n / 2) + Duration::from_secs(n);
    for n in 0..6 {
        engine.set_time(at(n));
        append(&*stores.log, A, texts(0..3)).await;
        append(&*stores.log, B, texts(0..1)).await;
    }
    let before = async |log: &dyn Log, time| log.before(A, time).await.expect("before");
    for _ in 0..2 {
        for n in 0..6 {
            assert_eq!(before(&*stores.log, at(n)).await, 3 * n, "accepted at that time is not before it");
            assert_eq!(before(&*stores.log, at(n) + Duration::from_millis(1)).await, 3 * n + 3);
        }
        assert_eq!(before(&*stores.log, Time::from_millis(0)).await, 0);
        assert_eq!(before(&*stores.log, later(500)).await, 18);
        assert_eq!(stores.log.before(B, later(500)).await.expect("before"), 6);
        stores = reopen(engine, stores).await;
    }
}

pub(super) async fn companies_see_nothing_of_each_other(engine: &impl Engine) {
    let stores = engine.open().await;
    let (_, id) = new(&append(&*stores.log, A, vec![full_content("c-1")]).await[0]);
    assert_eq!(stores.log.head(B).await.expect("head"), 0);
    assert!(seqs(&*stores.log, B, 0).await.is_empty());
    assert!(stores.log.get(B, &[1]).await.expect("get").is_empty());
    assert!(stores.log.find(B, id).await.expect("find").is_none());
    assert_eq!(stores.log.before(B, later(1)).await.expect("before"), 0);
    let (seq, other) = new(&append(&*stores.log, B, vec![full_content("c-1")]).await[0]);
    assert_eq!(seq, 1, "another company's idempotency id is no repeat");
    assert!(stores.log.find(A, other).await.expect("find").is_none());
}
