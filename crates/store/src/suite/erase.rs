//! Taking payloads away, and what became of many events.

use std::time::Duration;

use tillstream_model::{CompanyNo, Seq};

use super::log_append::{A, ALL, B, append, new, texts};
use super::samples::{attempt, event, parked, rejected};
use super::state_integrations::make;
use super::{Engine, START, full_content, reopen};
use crate::ReadLimit;
use crate::state::{GivenUp, LaneCommit, Outcomes, Stretch};
use tillstream_model::Ranges;

/// A text that is only in the payload of the event that is erased.
const MARKER: &str = "b7f1c2e0marker";

pub(super) async fn an_erased_payload_is_nowhere_and_the_rest_stays(engine: &impl Engine) {
    for in_memory in [true, false] {
        let mut stores = engine.open().await;
        append(&*stores.log, B, texts(0..3)).await;
        let mut sent = full_content(&format!("c-{in_memory}"));
        sent.data = tillstream_model::json::Json::trusted(format!(r#"{{"text":"{MARKER}"}}"#));
        sent.correlation = Some(tillstream_model::json::Json::trusted(format!(r#"{{"order_id":"{MARKER}"}}"#)));
        let mut events = vec![sent.clone()];
        events.extend(texts(0..20));
        let (seq, id) = new(&append(&*stores.log, A, events).await[0]);
        if !in_memory {
            stores = reopen(engine, stores).await;
        }
        assert!(!stores.log.erase(B, seq, id).await.expect("erase"), "another company's");
        assert!(!stores.log.is_erased(A, seq));
        for _ in 0..2 {
            assert!(stores.log.erase(A, seq, id).await.expect("erase"));
            assert!(stores.log.is_erased(A, seq));
        }
        for again in [false, true] {
            if again {
                stores = reopen(engine, stores).await;
            }
            let one = ReadLimit { events: 1, bytes: usize::MAX };
            let read = stores.log.read(A, seq - 1, one).await.expect("read").remove(0);
            let got = stores.log.get(A, &[seq]).await.expect("get").remove(0);
            let found = stores.log.find(A, id).await.expect("find").expect("it is there");
            for event in [read, got, found] {
                assert!(event.content.is_erased() && event.content.correlation.is_none(), "{event:?}");
                assert_eq!((event.seq, event.id, event.accepted_at), (seq, id, START));
                assert_eq!((&event.content.name, &event.content.site), (&sent.name, &sent.site));
            }
        }
        let repeat = append(&*stores.log, A, vec![sent]).await;
        assert_eq!(repeat, [crate::Appended::Duplicate { seq, id }], "its idempotency id counts");
        let others = stores.log.read(A, seq, ALL).await.expect("read");
        assert!(!others.is_empty() && others.iter().all(|e| !e.content.is_erased()));
    }
    assert!(!contains(&engine.at_rest().await, MARKER), "the payload is still stored");
}

pub(super) async fn an_erased_payload_leaves_waiting_and_rejected_rows(engine: &impl Engine) {
    const KEPT: &str = "123456789012345678901234567890";
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    let commit = LaneCommit {
        park: vec![parked(3, Some(event(3))), parked(4, None)],
        reject: vec![rejected(3, START)],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    stores.state.erase(CompanyNo(made.company.0 + 1), 3, event(3).id).await.expect("erase");
    let payload = async |no| {
        let parked = stores.state.parked_of(no, 3).await.expect("parked").expect("it waits").event.expect("its event");
        let rejected = stores.state.rejected_of(no, event(3).id).await.expect("rejected").expect("it is listed");
        (parked.content.is_erased(), rejected.rejected.event.content.is_erased())
    };
    assert_eq!(payload(made.no).await, (false, false), "another company's erasure");
    stores.state.erase(made.company, 3, event(3).id).await.expect("erase");
    assert_eq!(payload(made.no).await, (true, true));
    assert!(stores.state.parked_of(made.no, 4).await.expect("parked").expect("it waits").event.is_none());
    assert!(stores.state.parked_of(other.no, 3).await.expect("parked").is_none());
    drop(stores);
    assert!(!contains(&engine.at_rest().await, KEPT), "the payload is still stored");
}

pub(super) async fn outcomes_of_a_stretch_tell_how_each_event_ended(engine: &impl Engine) {
    let stores = engine.open().await;
    let (made, other) = (make(&*stores.state, "erp").await, make(&*stores.state, "other").await);
    let at = |seconds| START + Duration::from_secs(seconds);
    let settled = Ranges::from(vec![(14, 16)]);
    let commit = LaneCommit {
        cursor: 12,
        settled: settled.clone(),
        park: vec![parked(4, None), parked(40, None)],
        reject: vec![rejected(5, at(9)), rejected(50, at(9))],
        attempts: vec![
            attempt(2, 1, at(1)),
            attempt(2, 2, at(86_400)),
            attempt(2, 4, at(86_500)),
            attempt(4, 1, at(3)),
            attempt(99, 2, at(4)),
        ],
        ..LaneCommit::default()
    };
    stores.state.commit(made.no, commit).await.expect("commit");
    let stretch = |first: Seq, last: Seq| Stretch { first, last, lowest: event(first).id, highest: event(last).id };
    let found = stores.state.outcomes(made.no, stretch(1, 20)).await.expect("outcomes");
    assert_eq!((found.cursor, &found.settled), (12, &settled));
    let tried: Vec<_> = found.tried.iter().map(|t| (t.seq, t.attempts, t.last_at, t.delivered_at)).collect();
    assert_eq!(tried, [(2, 3, at(86_500), Some(at(86_400))), (4, 1, at(3), None)]);
    let waits: Vec<_> = found.parked.iter().map(|p| (p.seq, p.attempts, p.next_at, p.last_status)).collect();
    assert_eq!(waits, [(4, 2, START, Some(503))]);
    let given_up =
        GivenUp { event: event(5).id, at: at(9), reason: "attempts_exhausted".into(), last_status: Some(500) };
    assert_eq!(found.rejected, [given_up]);
    let nothing = |o: Outcomes| (o.tried.len(), o.parked.len(), o.rejected.len());
    assert_eq!(nothing(stores.state.outcomes(made.no, stretch(6, 8)).await.expect("outcomes")), (0, 0, 0));
    assert_eq!(nothing(stores.state.outcomes(other.no, stretch(1, 20)).await.expect("outcomes")), (0, 0, 0));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
