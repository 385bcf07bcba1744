//! Deleting a company: hidden at once, removed in slices, never to come back.

use std::sync::Arc;
use std::time::Duration;

use tillstream_model::CompanyNo;
use tillstream_model::lookup::LookupKey;

use super::log_append::{A, ALL, B, append, new, texts};
use super::samples::{attempt, entry, event, parked, rejected, settings};
use super::state_companies::key;
use super::{Engine, START, full_content, reopen};
use crate::answers::Begin;
use crate::held::{HeldLimits, HoldError};
use crate::index::Entry;
use crate::state::{
    AuditEntry, AuditFilter, Bucket, CompanyStatus, Counts, CreateError, Expected, LaneCommit, Resolution, SaveError,
};
use crate::usage::{Counts as Usage, Used};
use crate::{Append, AppendError, Purged, Result, Retention, State, StoreError, Stores};

/// A text that only the events of the company have that is deleted.
const MARKER: &str = "d41f0c7bmarker";
const MINUTE: Duration = Duration::from_secs(60);
const KEY: LookupKey = LookupKey(77);

/// Repeats a purge until nothing is left; how many rows it removed.
pub(super) async fn purge_all(purge: impl AsyncFn() -> Result<Purged>) -> u64 {
    let mut rows = 0;
    loop {
        let purged = purge().await.expect("purge");
        rows += purged.rows;
        if purged.done {
            return rows;
        }
    }
}

pub(super) async fn a_closed_log_is_empty_and_nothing_is_left_of_it(engine: &impl Engine) {
    const EVENTS: usize = 400;
    let stores = engine.open().await;
    let marked = || (0..EVENTS).map(|n| super::content(MARKER, &n.to_string()));
    append(&*stores.log, A, marked().collect()).await;
    append(&*stores.log, B, texts(0..3)).await;
    let ids = (0..EVENTS).map(|n| full_content(&format!("{MARKER}-{n}"))).collect();
    let (_, id) = new(&append(&*stores.log, A, ids).await[0]);
    let kept = append(&*stores.log, B, vec![full_content("kept")]).await;
    let before = stores.log.read(B, 0, ALL).await.expect("read");
    stores.log.purge(A).await.expect_err("it is not closed");

    let mut stores = reopen(engine, stores).await;
    for _ in 0..2 {
        stores.log.close(A).await.expect("close");
    }
    for again in [false, true] {
        if again {
            stores = reopen(engine, stores).await;
        }
        let late = Append { company: A, retention: Retention::Month, events: vec![full_content("late")] };
        assert!(matches!(stores.log.append(late).await, Err(AppendError::Gone)), "after opening again: {again}");
        assert!(stores.log.read(A, 0, ALL).await.expect("read").is_empty());
        assert!(stores.log.get(A, &[1, 2]).await.expect("get").is_empty());
        assert!(stores.log.find(A, id).await.expect("find").is_none());
        let ends = (stores.log.head(A).await.expect("head"), stores.log.floor(A).await.expect("floor"));
        assert_eq!((ends, stores.log.before(A, START).await.expect("before")), ((0, 0), 0));
    }
    let first = stores.log.purge(A).await.expect("purge");
    assert!(first.rows > 0 && !first.done, "a slice is a part: {first:?}");
    let stores = reopen(engine, stores).await;
    let rows = first.rows + purge_all(async || stores.log.purge(A).await).await;
    assert_eq!(rows, 2 * EVENTS as u64);
    assert_eq!(purge_all(async || stores.log.purge(A).await).await, 0);

    let after = stores.log.read(B, 0, ALL).await.expect("read");
    assert_eq!(format!("{before:?}"), format!("{after:?}"), "the other company's");
    let (seq, id) = new(&kept[0]);
    let repeat = append(&*stores.log, B, vec![full_content("kept")]).await;
    assert_eq!(repeat, [crate::Appended::Duplicate { seq, id }], "the other company's ids");
    drop(stores);
    assert!(!contains(&engine.at_rest().await, MARKER), "something is still stored");
}

pub(super) async fn nothing_is_indexed_of_a_closed_log(engine: &impl Engine) {
    let stores = engine.open().await;
    let entries = |company| {
        let entry = move |seq| Entry { company, seq, accepted_at: START, keys: vec![KEY, LookupKey(seq as i64)] };
        (1..=300).map(entry).collect::<Vec<_>>()
    };
    for company in [A, B] {
        stores.index.add(entries(company)).await.expect("add");
    }
    stores.log.close(A).await.expect("close");
    stores.index.add([entries(A), entries(B)].concat()).await.expect("add");
    assert!(purge_all(async || stores.index.purge(A).await).await > 0);
    stores.index.add(entries(A)).await.expect("add");
    let found = async |company| stores.index.positions(company, KEY, 0, 1_000).await.expect("positions").len();
    assert_eq!((found(A).await, found(B).await), (0, 300));
    let reached = async |company| stores.index.reached(company, 0).await.expect("reached");
    assert_eq!((reached(A).await, reached(B).await), (0, 300));
    assert_eq!(purge_all(async || stores.index.purge(A).await).await, 0);
}

/// Something of everything that the state has of a company.
async fn fill(state: &dyn State, name: &str) -> CompanyNo {
    let made = state.create_company(name, "A", Retention::Month, vec![]).await.expect("create");
    let (no, of) = (made.no, Some(made.no));
    for written in written(state, no, name).await {
        written.expect("write");
    }
    state.add_usage(vec![used(no)]).await.expect("usage");
    state.add_statistics(vec![bucket(no)]).await.expect("statistics");
    let lane = state.integration(no, "erp").await.expect("integration").expect("it is there").no;
    let commit = LaneCommit {
        park: vec![parked(3, Some(event(3)))],
        reject: vec![rejected(5, START)],
        attempts: (1..150).map(|n| attempt(2, n, START)).collect(),
        log: vec![entry("braked", START)],
        ..LaneCommit::default()
    };
    state.commit(lane, commit).await.expect("commit");
    assert!(state.document(of, "site", name).await.expect("document").is_some());
    no
}

/// Writes of a company that are refused once it is hidden.
async fn written(state: &dyn State, no: CompanyNo, name: &str) -> Vec<Result<()>> {
    let of = Some(no);
    let settings = settings("erp", "x");
    let made = state.create_integration(no, settings, 0, entry("created", START)).await.map(drop);
    let saved = state.put_document(of, "site", name, "{}".into(), Expected::Anything).await.map(drop);
    let room = HeldLimits { events: 9, bytes: u64::MAX, sites: 9 };
    let asked = Begin { of, id: name.into(), fingerprint: [1; 16], now: START, most: 9 };
    vec![
        made.map_err(|e| match e {
            CreateError::Store(e) => e,
            other => StoreError::new("make", other.to_string()),
        }),
        saved.map_err(|e| match e {
            SaveError::Store(e) => e,
            other => StoreError::new("save", other.to_string()),
        }),
        state.create_key(key(name, Some(no.0), no.0 as u8)).await,
        state.record(audited(no)).await,
        state.hold(no, vec![full_content(name)], START, room).await.map(drop).map_err(|e| match e {
            HoldError::Store(e) => e,
            other => StoreError::new("hold", other.to_string()),
        }),
        state.begin_answer(asked).await.map(drop),
    ]
}

fn audited(no: CompanyNo) -> AuditEntry {
    let (actor, action, object) = ("key k".into(), "site.saved".into(), "site 175".into());
    AuditEntry { company: Some(no), at: START, actor, action, object, before: None, after: None }
}

fn used(company: CompanyNo) -> Used {
    let counts = Usage { events: 1, bytes: 10, ..Usage::default() };
    Used { company, day: START.day(), retention: Some(Retention::Month), counts }
}

fn bucket(company: CompanyNo) -> Bucket {
    let resolution = Resolution::Minute;
    Bucket { company, resolution, at: resolution.start(START), counts: Counts { accepted: 1, ..Counts::default() } }
}

/// All that is told of a company.
async fn told(state: &dyn State, no: CompanyNo, name: &str) -> String {
    let of = Some(no);
    let all = (
        state.documents(of, "site", "", 100).await.expect("documents"),
        state.keys(of).await.expect("keys"),
        state.integrations(no, None, 100).await.expect("integrations"),
        state.audit(of, &AuditFilter::default(), None, 100).await.expect("audit").items,
        state.usage(no, START.day(), START.day()).await.expect("usage"),
        state.statistics(no, Resolution::Minute, START, START + MINUTE).await.expect("statistics"),
        state.held_sites(no, "", 100).await.expect("held"),
        state.attempts(no, &Default::default(), None, 500).await.expect("attempts").items.len(),
    );
    format!("{name} {all:?}")
}

pub(super) async fn a_hidden_company_is_in_no_list_and_nothing_is_written_for_it(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let (gone, stays) = (fill(state, "gone").await, fill(state, "stays").await);
    assert!(state.purge_state(gone).await.is_err(), "it is not hidden");
    assert_eq!(state.hide_company(CompanyNo(99), "job_1").await.expect("hide"), None);
    for job in ["job_1", "job_2"] {
        assert_eq!(state.hide_company(gone, job).await.expect("hide").as_deref(), Some("job_1"));
    }
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let listed = state.companies().await.expect("companies");
    assert_eq!(listed.iter().map(|c| c.no).collect::<Vec<_>>(), [stays]);
    let leaving = state.leaving().await.expect("leaving");
    assert_eq!(leaving.len(), 1);
    assert_eq!((leaving[0].company.no, leaving[0].job.as_str()), (gone, "job_1"));
    assert_eq!(leaving[0].company.rules.status, CompanyStatus::Deleting);
    assert!(!state.save_company(leaving[0].company.clone()).await.expect("save"));
    for (at, written) in written(state, gone, "late").await.into_iter().enumerate() {
        assert!(written.as_ref().is_err_and(|e| e.gone), "write {at}: {written:?}");
    }
    let late = state.put_document(Some(gone), "site", "gone", "{}".into(), Expected::Version(1)).await;
    assert!(matches!(late, Err(SaveError::Unknown)), "{late:?}");
    let before = told(state, stays, "stays").await;
    // Figures of many companies come together: only those of the hidden one are left out.
    state.add_statistics(vec![bucket(gone), bucket(stays)]).await.expect("statistics");
    state.add_usage(vec![used(gone), used(stays)]).await.expect("usage");
    assert_ne!(told(state, stays, "stays").await, before);
    let counted = state.statistics(gone, Resolution::Minute, START, START + MINUTE).await.expect("statistics");
    assert_eq!(counted.iter().map(|(_, c)| c.accepted).sum::<u64>(), 1, "as before");
}

pub(super) async fn a_purged_company_leaves_nothing_and_its_id_is_given_to_a_new_one(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let (gone, stays) = (fill(state, "gone").await, fill(state, "stays").await);
    let lane = state.integration(gone, "erp").await.expect("integration").expect("it is there").no;
    let before = told(state, stays, "stays").await;
    state.hide_company(gone, "job_1").await.expect("hide");
    let first = state.purge_state(gone).await.expect("purge");
    assert!(first.rows > 0);
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let rest = purge_all(async || state.purge_state(gone).await).await;
    assert!(first.rows + rest > 150, "attempts too");
    assert_eq!(purge_all(async || state.purge_state(gone).await).await, 0);
    // A lane that has not heard of it yet.
    let late = LaneCommit {
        cursor: 9,
        reject: vec![rejected(9, START)],
        attempts: vec![attempt(9, 1, START)],
        ..LaneCommit::default()
    };
    state.commit(lane, late).await.expect("commit");
    assert_eq!(purge_all(async || state.purge_state(gone).await).await, 0);
    let taken = state.create_company("gone", "A", Retention::Month, vec![]).await;
    assert!(taken.is_err(), "it is still being deleted");
    for _ in 0..2 {
        state.remove_company(gone).await.expect("remove");
    }
    assert!(state.leaving().await.expect("leaving").is_empty());
    let new = state.create_company("gone", "B", Retention::Month, vec![]).await.expect("create");
    assert!(new.no > stays, "{new:?}");
    assert!(!told(state, new.no, "").await.contains("gone"), "nothing of the old one");
    assert!(state.remove_company(new.no).await.is_ok() && state.companies().await.expect("companies").contains(&new));
    assert_eq!(told(state, stays, "stays").await, before);
    assert_eq!(state.hide_company(gone, "job_2").await.expect("hide").as_deref(), Some("job_1"));
}

/// Who writes while a company is hidden is either done before, and purged, or refused.
pub(super) async fn a_company_is_hidden_between_writes_and_never_within(engine: &impl Engine) {
    const WRITERS: usize = 6;
    let stores = engine.open().await;
    let made = stores.state.create_company("gone", "A", Retention::Month, vec![]).await.expect("create");
    let mut writers = tokio::task::JoinSet::new();
    let begun = Arc::new(tokio::sync::Barrier::new(WRITERS + 1));
    for writer in 0..WRITERS {
        let (stores, begun) = (stores.clone(), begun.clone());
        writers.spawn(async move { write_until_gone(&stores, made.no, writer, &begun).await });
    }
    begun.wait().await;
    stores.state.hide_company(made.no, "job_1").await.expect("hide");
    stores.log.close(made.no).await.expect("close");
    // Not waited for: a purge may begin while the last ones are refused.
    purge_all(async || stores.log.purge(made.no).await).await;
    purge_all(async || stores.state.purge_state(made.no).await).await;
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer");
    }
    assert_eq!(purge_all(async || stores.log.purge(made.no).await).await, 0);
    assert_eq!(purge_all(async || stores.state.purge_state(made.no).await).await, 0);
}

async fn write_until_gone(stores: &Stores, no: CompanyNo, writer: usize, begun: &tokio::sync::Barrier) {
    let (mut log, mut state) = (true, true);
    for n in 0.. {
        if log {
            let events = vec![full_content(&format!("{writer}-{n}"))];
            let done = stores.log.append(Append { company: no, retention: Retention::ALL[n % 4], events }).await;
            log = !matches!(done, Err(AppendError::Gone));
        }
        if state {
            let id = format!("{writer}-{n}");
            let done = stores.state.put_document(Some(no), "site", &id, "{}".into(), Expected::New).await;
            state = !matches!(done, Err(SaveError::Store(e)) if e.gone);
            stores.state.add_statistics(vec![bucket(no)]).await.expect("statistics");
        }
        if n == 0 {
            begun.wait().await;
        }
        if !log && !state {
            return;
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
