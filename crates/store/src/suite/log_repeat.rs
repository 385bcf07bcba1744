//! Idempotency ids.

use futures_util::future::join_all;
use tillstream_model::{Content, Time};

use super::log_append::{A, append, append_to, later, new};
use super::{Engine, content, full_content};
use crate::{Appended, Log, Retention};

fn with_id(text: &str, id: &str) -> Content {
    Content { caller_id: Some(id.into()), ..content("order.saved", text) }
}

/// What a repeat of a new event is answered.
fn duplicate(of: &Appended) -> Appended {
    let (seq, id) = new(of);
    Appended::Duplicate { seq, id }
}

pub(super) async fn a_repeat_is_a_duplicate_and_another_event_a_conflict(engine: &impl Engine) {
    let stores = engine.open().await;
    let log = &*stores.log;
    let first = append(log, A, vec![full_content("c-1")]).await.remove(0);
    assert_eq!(append(log, A, vec![full_content("c-1")]).await, [duplicate(&first)]);
    assert_eq!(
        append(log, A, vec![Content { site: full_content("").site, ..with_id("x", "c-1") }]).await,
        [Appended::Conflict]
    );
    assert_eq!(new(&append(log, A, vec![with_id("x", "c-1")]).await[0]).0, 2, "ids count per site");
    let no_site = Content { site: None, ..with_id("x", "c-1") };
    assert_eq!(new(&append(log, A, vec![no_site]).await[0]).0, 3);
    assert_eq!(log.head(A).await.expect("head"), 3);
}

pub(super) async fn repeats_within_one_append_are_told_apart(engine: &impl Engine) {
    let stores = engine.open().await;
    let events =
        vec![with_id("x", "a"), with_id("x", "a"), with_id("y", "a"), with_id("z", "b"), content("order.saved", "x")];
    let answers = append(&*stores.log, A, events).await;
    assert_eq!(answers[1], duplicate(&answers[0]));
    assert_eq!(answers[2], Appended::Conflict);
    let seqs: Vec<_> = [0, 3, 4].map(|n: usize| new(&answers[n]).0).into();
    assert_eq!(seqs, [1, 2, 3], "duplicates and conflicts take no seq");
}

pub(super) async fn concurrent_repeats_append_once(engine: &impl Engine) {
    let stores = engine.open().await;
    let answers = join_all((0..32).map(|_| append(&*stores.log, A, vec![with_id("x", "a")]))).await;
    let fresh: Vec<_> = answers.iter().flatten().filter(|a| matches!(a, Appended::New { .. })).collect();
    assert_eq!(fresh.len(), 1);
    assert!(answers.iter().flatten().all(|a| a == fresh[0] || *a == duplicate(fresh[0])));
    assert_eq!(stores.log.head(A).await.expect("head"), 1);
}

pub(super) async fn ids_count_for_seven_days_whatever_the_retention(engine: &impl Engine) {
    let stores = engine.open().await;
    let log = &*stores.log;
    let event = || vec![with_id("x", "a")];
    let first = append_to(log, A, Retention::Week, event()).await.remove(0);
    engine.set_time(later(3));
    assert_eq!(append_to(log, A, Retention::Year, event()).await, [duplicate(&first)]);
    let almost = Time::from_millis(later(7).millis() - 1);
    engine.set_time(almost);
    drop_due(log, almost).await;
    assert_eq!(append_to(log, A, Retention::Year, event()).await, [duplicate(&first)]);
    engine.set_time(later(7));
    let again = append_to(log, A, Retention::Year, event()).await.remove(0);
    assert_eq!(new(&again).0, 2, "after seven days the id is free");
    assert_eq!(append_to(log, A, Retention::Week, event()).await, [duplicate(&again)]);
}

async fn drop_due(log: &dyn Log, now: Time) {
    for segment in log.due(now).await.expect("due") {
        log.drop_segment(&segment.name).await.expect("drop");
    }
}

pub(super) async fn ids_are_remembered_after_opening_again(engine: &impl Engine) {
    let stores = engine.open().await;
    let first = append(&*stores.log, A, vec![with_id("x", "a")]).await.remove(0);
    drop(stores);
    for day in [0, 1, 6] {
        engine.set_time(later(day));
        let stores = engine.open().await;
        assert_eq!(
            append(&*stores.log, A, vec![with_id("x", "a"), with_id("y", "a")]).await,
            [duplicate(&first), Appended::Conflict]
        );
    }
}
