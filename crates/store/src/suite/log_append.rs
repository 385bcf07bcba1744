//! Appending: dense, in order, durable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tillstream_model::{CompanyNo, Content, EventId, Seq, Time};

use super::{Engine, START, content, full_content};
use crate::{Append, Appended, Log, ReadLimit, Retention};

/// The company of most clauses.
pub(super) const A: CompanyNo = CompanyNo(1);
/// Another one.
pub(super) const B: CompanyNo = CompanyNo(2);
/// Reads all that a clause appends.
pub(super) const ALL: ReadLimit = ReadLimit { events: 100_000, bytes: usize::MAX };

/// Appends with the default retention.
pub(super) async fn append(log: &dyn Log, company: CompanyNo, events: Vec<Content>) -> Vec<Appended> {
    append_to(log, company, Retention::Month, events).await
}

/// Appends with this retention.
pub(super) async fn append_to(
    log: &dyn Log,
    company: CompanyNo,
    retention: Retention,
    events: Vec<Content>,
) -> Vec<Appended> {
    log.append(Append { company, retention, events }).await.expect("append")
}

/// Events with these texts.
pub(super) fn texts(range: std::ops::Range<usize>) -> Vec<Content> {
    range.map(|n| content("order.saved", &n.to_string())).collect()
}

/// Seq and id of a new event.
pub(super) fn new(answer: &Appended) -> (Seq, EventId) {
    match answer {
        Appended::New { seq, id } => (*seq, *id),
        other => panic!("not new: {other:?}"),
    }
}

/// The seqs after a position.
pub(super) async fn seqs(log: &dyn Log, company: CompanyNo, after: Seq) -> Vec<Seq> {
    log.read(company, after, ALL).await.expect("read").iter().map(|e| e.seq).collect()
}

/// A moment after the start.
pub(super) fn later(days: u64) -> Time {
    START + Duration::from_secs(days * 86_400)
}

pub(super) async fn seqs_are_dense_and_in_order_under_concurrent_appends(engine: &impl Engine) {
    let stores = engine.open().await;
    let append_some = async |n: usize| {
        let company = CompanyNo(1 + n as u32 % 3);
        let mut mine = Vec::new();
        for round in 0..5 {
            let answers = append(&*stores.log, company, texts(round..round + 1 + n % 4)).await;
            let got: Vec<Seq> = answers.iter().map(|a| new(a).0).collect();
            assert!(got.windows(2).all(|w| w[0] + 1 == w[1]), "one append is not consecutive: {got:?}");
            mine.extend(got);
        }
        assert!(mine.is_sorted(), "a later append came before an earlier one");
        (company, mine)
    };
    let mut by_company: BTreeMap<CompanyNo, Vec<Seq>> = BTreeMap::new();
    for (company, mine) in join_all((0..64).map(append_some)).await {
        by_company.entry(company).or_default().extend(mine);
    }
    for (company, mut got) in by_company {
        got.sort_unstable();
        assert_eq!(got, (1..=got.len() as Seq).collect::<Vec<_>>());
        assert_eq!(seqs(&*stores.log, company, 0).await, got);
        assert_eq!(stores.log.head(company).await.expect("head"), got.len() as Seq);
    }
}

pub(super) async fn a_reader_never_sees_a_hole_while_others_write(engine: &impl Engine) {
    let stores = engine.open().await;
    let done = AtomicBool::new(false);
    let write = async {
        let append_some = async |n: usize| {
            for _ in 0..30 {
                let retention = if n.is_multiple_of(2) { Retention::Month } else { Retention::Week };
                append_to(&*stores.log, A, retention, texts(0..1 + n % 3)).await;
            }
        };
        join_all((0..16).map(append_some)).await;
        done.store(true, Ordering::Release);
    };
    let read = async {
        let (mut last, mut finished) = (0, false);
        while !finished {
            finished = done.load(Ordering::Acquire);
            for seq in seqs(&*stores.log, A, last).await {
                assert_eq!(seq, last + 1, "a hole");
                last = seq;
            }
            tokio::task::yield_now().await;
        }
        last
    };
    let ((), last) = tokio::join!(write, read);
    assert_eq!(last, stores.log.head(A).await.expect("head"));
}

pub(super) async fn what_was_answered_is_there_after_opening_again(engine: &impl Engine) {
    let mut ids = Vec::new();
    for round in 0..3 {
        let stores = engine.open().await;
        assert_eq!(stores.log.head(A).await.expect("head"), ids.len() as Seq);
        let answers =
            append(&*stores.log, A, vec![full_content(&format!("c-{round}")), content("order.saved", "x")]).await;
        ids.extend(answers.iter().map(new));
    }
    let stores = engine.open().await;
    let found: Vec<_> = stores.log.read(A, 0, ALL).await.expect("read").iter().map(|e| (e.seq, e.id)).collect();
    assert_eq!(found, ids);
}

pub(super) async fn the_bell_rings_after_a_commit(engine: &impl Engine) {
    let stores = engine.open().await;
    let bell = stores.log.bell();
    append(&*stores.log, B, texts(0..1)).await;
    let rung = tokio::time::timeout(Duration::from_secs(5), bell.wait()).await.expect("no bell rang");
    assert!(rung.contains(&B));
    assert_eq!(seqs(&*stores.log, B, 0).await, [1]);
    assert!(append(&*stores.log, B, Vec::new()).await.is_empty());
}

pub(super) async fn acceptance_times_never_decrease(engine: &impl Engine) {
    for (now, opened_again) in [(later(2), false), (later(0), false), (later(1), true), (later(3), false)] {
        engine.set_time(now);
        let stores = engine.open().await;
        append(&*stores.log, A, texts(0..2)).await;
        if opened_again {
            continue;
        }
        engine.set_time(START);
        append(&*stores.log, A, texts(0..2)).await;
    }
    let stores = engine.open().await;
    let events = stores.log.read(A, 0, ALL).await.expect("read");
    assert_eq!(events.len(), 14);
    assert!(events.iter().map(|e| e.accepted_at).is_sorted(), "acceptance went backwards");
    assert!(events.iter().all(|e| e.id.time() == e.accepted_at));
    let found = join_all(events.iter().map(|e| stores.log.find(A, e.id))).await;
    let found: Vec<Option<Seq>> = found.into_iter().map(|f| f.expect("find").map(|e: Arc<_>| e.seq)).collect();
    assert_eq!(found, (1..=14).map(Some).collect::<Vec<_>>());
}
