//! Attempts.

use std::time::Duration;

use tillstream_model::event::EntityKey;
use tillstream_model::{IntegrationNo, Seq, Time};

use super::samples::{attempt, entry};
use super::state_integrations::{A, B, make};
use super::{Engine, START, settings};
use crate::State;
use crate::state::{ATTEMPT_DAYS, Attempt, AttemptFilter, LaneCommit, name_hash};

/// Three integrations with attempts over four days, the same times in all of them; another company's beside them.
async fn fill(state: &dyn State) -> Vec<(IntegrationNo, Attempt)> {
    let mut all = Vec::new();
    for id in ["a", "b", "c"] {
        let no = make(state, id).await.no;
        for seq in 1..=40 {
            let attempts = vec![attempt(seq, (seq % 3) as u32, at(seq))];
            all.extend(attempts.iter().map(|a| (no, a.clone())));
            state.commit(no, LaneCommit { attempts, ..LaneCommit::default() }).await.expect("commit");
        }
    }
    let other = state.create_integration(B, settings("b", "x"), 0, entry("created", START)).await.expect("create");
    let attempts = vec![attempt(1, 1, START)];
    state.commit(other.no, LaneCommit { attempts, ..LaneCommit::default() }).await.expect("commit");
    all.sort_by_key(|(no, a)| std::cmp::Reverse((a.at, a.seq, a.number, *no)));
    all
}

/// Two seqs share each moment.
fn at(seq: Seq) -> Time {
    START + Duration::from_secs(seq / 2 * 3 * 3_600)
}

async fn pages(state: &dyn State, filter: &AttemptFilter, limit: usize) -> Vec<(IntegrationNo, Attempt)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = state.attempts(A, filter, after.as_deref(), limit).await.expect("attempts");
        assert!(page.items.len() <= limit);
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

pub(super) async fn attempts_of_all_integrations_are_paged_newest_first(engine: &impl Engine) {
    let stores = engine.open().await;
    let all = fill(&*stores.state).await;
    drop(stores);
    let stores = engine.open().await;
    for limit in [1, 7, 40, 120, 1_000] {
        assert_eq!(pages(&*stores.state, &AttemptFilter::default(), limit).await, all, "pages of {limit}");
    }
    let exact = stores.state.attempts(A, &AttemptFilter::default(), None, 120).await.expect("attempts");
    assert_eq!(exact.next, None, "the last page says so");
    assert!(stores.state.attempts(A, &AttemptFilter::default(), Some("nonsense"), 1).await.is_err());
}

pub(super) async fn attempts_are_filtered(engine: &impl Engine) {
    let stores = engine.open().await;
    let all = fill(&*stores.state).await;
    let no = all[0].0;
    let none = AttemptFilter::default;
    type Wanted = Box<dyn Fn(&(IntegrationNo, Attempt)) -> bool>;
    let key = EntityKey::of("order", "o-1");
    let cases: Vec<(AttemptFilter, Wanted)> = vec![
        (AttemptFilter { integrations: vec![no], ..none() }, Box::new(move |(n, _)| *n == no)),
        (AttemptFilter { success: Some(true), ..none() }, Box::new(|(_, a)| a.failure.is_none())),
        (AttemptFilter { success: Some(false), ..none() }, Box::new(|(_, a)| a.failure.is_some())),
        (AttemptFilter { from: Some(at(10)), ..none() }, Box::new(|(_, a)| a.at >= at(10))),
        (AttemptFilter { to: Some(at(10)), ..none() }, Box::new(|(_, a)| a.at < at(10))),
        (
            AttemptFilter { from: Some(at(10)), to: Some(at(30)), ..none() },
            Box::new(|(_, a)| (at(10)..at(30)).contains(&a.at)),
        ),
        (AttemptFilter { domain_key: Some(key), ..none() }, Box::new(move |(_, a)| a.domain_key == Some(key))),
        (
            AttemptFilter { name_hash: Some(name_hash("order.saved")), success: Some(false), ..none() },
            Box::new(|(_, a)| a.name_hash == name_hash("order.saved") && a.failure.is_some()),
        ),
        (AttemptFilter { integrations: vec![IntegrationNo(99)], ..none() }, Box::new(|_| false)),
    ];
    for (filter, wanted) in cases {
        let expected: Vec<_> = all.iter().filter(|a| wanted(a)).cloned().collect();
        assert_eq!(pages(&*stores.state, &filter, 9).await, expected, "{filter:?}");
    }
}

pub(super) async fn attempts_of_an_event_are_listed_oldest_first(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "a").await, make(&*stores.state, "b").await);
    let tries: Vec<_> = (1..=5).map(|n| attempt(7, n, START + Duration::from_secs(u64::from(n) * 30_000))).collect();
    let attempts = tries.iter().rev().cloned().chain([attempt(8, 1, START)]).collect();
    stores.state.commit(made.no, LaneCommit { attempts, ..LaneCommit::default() }).await.expect("commit");
    assert_eq!(stores.state.attempts_of(made.no, 7).await.expect("attempts"), tries);
    assert!(stores.state.attempts_of(other.no, 7).await.expect("attempts").is_empty());
}

pub(super) async fn attempts_go_after_their_time(engine: &impl Engine) {
    let stores = engine.open().await;
    let all = fill(&*stores.state).await;
    stores.state.sweep(START + Duration::from_secs(ATTEMPT_DAYS as u64 * 86_400)).await.expect("sweep");
    assert_eq!(pages(&*stores.state, &AttemptFilter::default(), 50).await, all, "nothing is older than its days");
    let end = Time::from_millis((START.day() + 1 + ATTEMPT_DAYS) * tillstream_model::time::DAY_MS);
    stores.state.sweep(end).await.expect("sweep");
    let kept: Vec<_> = all.into_iter().filter(|(_, a)| a.at.day() > START.day()).collect();
    assert_eq!(pages(&*stores.state, &AttemptFilter::default(), 50).await, kept);
}
