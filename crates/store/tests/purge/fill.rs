//! The same of everything for two companies.

use std::time::Duration;

use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::answers::Begin;
use tillstream_store::held::HeldLimits;
use tillstream_store::index::Entry;
use tillstream_store::state::{
    Attempt, AuditEntry, Bound, Bucket, Counts, Expected, Failure, Key, LaneCommit, LogEntry, Parked, Rejected, Replay,
    Resolution,
};
use tillstream_store::suite::{START, content, full_content, settings};
use tillstream_store::usage::{Counts as Usage, Used};
use tillstream_store::{Append, Appended, ReadLimit, Retention, Stores};

use super::{Now, Whose};

const DAY: Duration = Duration::from_secs(86_400);
/// Days until what is kept for a week is dropped.
const WEEK_IS_OVER: u32 = 9;

/// Events on three days: of the first one a segment is dropped, of the second one it is closed, on the third one it is
/// written to. Each company appends the same.
pub async fn fill(stores: &Stores, now: &Now) -> Whose {
    let (mut companies, mut lanes) = (Vec::new(), Vec::new());
    for (name, byte) in [("gone", 1), ("stays", 2)] {
        let made = stores.state.create_company(name, name, Retention::Month, vec![]).await.unwrap();
        lanes.push(state(stores, made.no, name, byte).await);
        companies.push(made.no);
    }
    log(stores, &companies, now).await;
    for (company, lane) in companies.iter().zip(&lanes) {
        outcomes(stores, *company, *lane).await;
    }
    Whose { gone: companies[0], stays: companies[1], lane_gone: lanes[0], lane_stays: lanes[1] }
}

async fn state(stores: &Stores, no: CompanyNo, name: &str, byte: u8) -> IntegrationNo {
    let (state, of) = (&*stores.state, Some(no));
    let key = Key {
        id: format!("key-{name}"),
        company: of,
        name: "k".into(),
        scopes: vec![],
        bound: Bound::default(),
        hash: [byte; 32],
        created_at: START,
        expires_at: None,
        last_used_at: None,
    };
    state.create_key(key).await.unwrap();
    state.put_document(of, "site", "175", "{}".into(), Expected::New).await.unwrap();
    let (actor, action, object) = ("key k".into(), "site.saved".into(), "site 175".into());
    let entry = AuditEntry { company: of, at: START, actor, action, object, before: None, after: None };
    state.record(entry).await.unwrap();
    let counts = Usage { events: 1, ..Usage::default() };
    state.add_usage(vec![Used { company: no, day: START.day(), retention: None, counts }]).await.unwrap();
    let (resolution, counts) = (Resolution::Hour, Counts { accepted: 1, ..Counts::default() });
    state.add_statistics(vec![Bucket { company: no, resolution, at: START, counts }]).await.unwrap();
    let asked = Begin { of, id: "i".into(), fingerprint: [1; 16], now: START, most: 9 };
    state.begin_answer(asked).await.unwrap();
    let room = HeldLimits { events: 9, bytes: u64::MAX, sites: 9 };
    state.hold(no, vec![full_content("held")], START, room).await.unwrap();
    let made = state.create_integration(no, settings("erp", "x"), 0, log_entry()).await.unwrap();
    let replay = Replay { id: format!("job-{name}"), body: "{}".into() };
    assert!(state.start_replay(made.no, replay, log_entry()).await.unwrap());
    made.no
}

fn log_entry() -> LogEntry {
    LogEntry { action: "created".into(), reason: "a test".into(), actor: "system".into(), at: START }
}

async fn log(stores: &Stores, companies: &[CompanyNo], now: &Now) {
    append(stores, companies, Retention::Week).await;
    now.set(START + DAY * WEEK_IS_OVER);
    for due in stores.log.due(START + DAY * WEEK_IS_OVER).await.unwrap() {
        stores.log.drop_segment(&due.name).await.unwrap();
    }
    append(stores, companies, Retention::Month).await;
    now.set(START + DAY * (WEEK_IS_OVER + 1));
    append(stores, companies, Retention::Month).await;
    // After what was posted to the same thread.
    assert!(stores.log.due(START).await.unwrap().is_empty());
    for company in companies {
        let head = stores.log.head(*company).await.unwrap();
        let last = stores.log.get(*company, &[head]).await.unwrap().remove(0);
        assert!(stores.log.erase(*company, head, last.id).await.unwrap());
    }
}

/// Some events with idempotency ids, and what they are found by.
async fn append(stores: &Stores, companies: &[CompanyNo], retention: Retention) {
    for company in companies {
        let head = stores.log.head(*company).await.unwrap();
        let id = |n: u64| format!("c-{}", head + n);
        let events = (0..20).map(|n| if n % 2 == 0 { full_content(&id(n)) } else { content("order.saved", "x") });
        let done = stores.log.append(Append { company: *company, retention, events: events.collect() }).await.unwrap();
        let entry = |appended: &Appended| {
            let Appended::New { seq, id } = *appended else { panic!("{appended:?}") };
            Entry { company: *company, seq, accepted_at: id.time(), keys: vec![LookupKey(1), LookupKey(seq as i64)] }
        };
        stores.index.add(done.iter().map(entry).collect()).await.unwrap();
    }
}

async fn outcomes(stores: &Stores, company: CompanyNo, lane: IntegrationNo) {
    let head = stores.log.head(company).await.unwrap();
    let after = ReadLimit { events: 1, bytes: 1 };
    let event = stores.log.read(company, head - 2, after).await.unwrap().remove(0);
    let failure = Failure { cause: "status".into(), detail: "500".into(), answer: b"no".to_vec() };
    let attempt = |number: u32, at: Time| Attempt {
        seq: event.seq,
        at,
        number,
        elapsed_ms: 1,
        status: Some(500),
        remaining: 1,
        domain_key: None,
        name_hash: 0,
        failure: (number == 1).then(|| failure.clone()),
    };
    let reject = Rejected {
        event: event.clone(),
        at: START,
        reason: "rejected".into(),
        last_status: None,
        detail: None,
        attempts: 1,
    };
    let commit = LaneCommit {
        park: vec![Parked::due(event.clone(), START)],
        reject: vec![reject],
        attempts: vec![attempt(1, START), attempt(2, START), attempt(1, START + DAY)],
        ..LaneCommit::default()
    };
    stores.state.commit(lane, commit).await.unwrap();
}
