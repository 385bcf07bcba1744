//! Documents and the audit.

use tillstream_model::{CompanyNo, Time};

use super::{Engine, START, reopen};
use crate::State;
use crate::state::{AUDIT_DAYS, AuditEntry, AuditFilter, Document, Expected, SaveError};

const A: Option<CompanyNo> = Some(CompanyNo(1));
const B: Option<CompanyNo> = Some(CompanyNo(2));
const DAY: i64 = tillstream_model::time::DAY_MS;

async fn put(state: &dyn State, of: Option<CompanyNo>, id: &str, body: &str) -> Document {
    state.put_document(of, "site", id, body.into(), Expected::Anything).await.expect("put")
}

async fn ids(state: &dyn State, of: Option<CompanyNo>, after: &str, limit: usize) -> Vec<String> {
    state.documents(of, "site", after, limit).await.expect("documents").into_iter().map(|d| d.id).collect()
}

pub(super) async fn a_document_belongs_to_its_company_and_kind(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    for (of, body) in [(A, "{\"a\":1}"), (B, "{}"), (None, "[]")] {
        put(state, of, "175", body).await;
    }
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    let found = state.document(A, "site", "175").await.expect("document").expect("it is there");
    let expected =
        Document { id: "175".into(), body: "{\"a\":1}".into(), version: 1, created_at: START, updated_at: START };
    assert_eq!(found, expected);
    assert!(state.document(A, "user", "175").await.expect("document").is_none(), "another kind");
    assert!(state.delete_document(Some(CompanyNo(3)), "site", "175").await.expect("delete").is_none());
    assert_eq!(state.delete_document(A, "site", "175").await.expect("delete"), Some(expected));
    assert!(state.delete_document(A, "site", "175").await.expect("delete").is_none());
    assert_eq!(
        (ids(state, A, "", 9).await.len(), ids(state, B, "", 9).await.len(), ids(state, None, "", 9).await.len()),
        (0, 1, 1)
    );
}

pub(super) async fn documents_are_listed_by_the_bytes_of_their_ids(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    for id in ["b", "a", "B", "10", "9", "ä"] {
        put(state, A, id, "{}").await;
    }
    assert_eq!(ids(state, A, "", 100).await, ["10", "9", "B", "a", "b", "ä"]);
    assert_eq!(ids(state, A, "9", 2).await, ["B", "a"]);
    assert!(ids(state, A, "ä", 2).await.is_empty());
}

pub(super) async fn a_document_is_saved_only_over_what_was_expected(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let save = async |body: &str, expected| state.put_document(A, "site", "1", body.into(), expected).await;
    assert!(matches!(save("x", Expected::Version(1)).await, Err(SaveError::Unknown)));
    assert_eq!(save("1", Expected::New).await.expect("new").version, 1);
    assert!(matches!(save("x", Expected::New).await, Err(SaveError::Changed(1))));
    engine.set_time(START + std::time::Duration::from_secs(1));
    let second = save("2", Expected::Version(1)).await.expect("the next");
    assert_eq!((second.version, second.created_at, second.updated_at.millis()), (2, START, START.millis() + 1_000));
    assert!(matches!(save("x", Expected::Version(1)).await, Err(SaveError::Changed(2))));
    assert_eq!(save("3", Expected::Anything).await.expect("any").version, 3);
    assert_eq!(state.document(A, "site", "1").await.expect("document").map(|d| d.body), Some("3".into()));
    let (a, b) = tokio::join!(save("4", Expected::Version(3)), save("5", Expected::Version(3)));
    assert!(a.is_ok() != b.is_ok(), "both were saved, or none: {a:?} {b:?}");
    let make = async |body: &str| state.put_document(A, "site", "2", body.into(), Expected::New).await;
    let (a, b) = tokio::join!(make("a"), make("b"));
    assert!(a.is_ok() != b.is_ok(), "both are new, or none: {a:?} {b:?}");
}

fn entry(company: Option<CompanyNo>, object: &str, at: Time) -> AuditEntry {
    AuditEntry {
        company,
        at,
        actor: "key k1".into(),
        action: "site.saved".into(),
        object: object.into(),
        before: None,
        after: Some("{\"a\":1}".into()),
    }
}

async fn objects(state: &dyn State, of: Option<CompanyNo>, filter: AuditFilter) -> Vec<String> {
    let page = state.audit(of, &filter, None, 100).await.expect("audit");
    page.items.into_iter().map(|e| e.object).collect()
}

pub(super) async fn the_audit_is_paged_newest_first_and_goes_after_its_time(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let at = |day: i64| Time::from_millis(START.millis() + day * DAY);
    for day in 0..5 {
        state.record(entry(A, &format!("site {}", day % 2), at(day))).await.expect("record");
        state.record(entry(None, "company x", at(day))).await.expect("record");
    }
    let first = state.audit(A, &AuditFilter::default(), None, 3).await.expect("audit");
    assert_eq!(first.items.first(), Some(&entry(A, "site 0", at(4))));
    let rest = state.audit(A, &AuditFilter::default(), first.next.as_deref(), 3).await.expect("audit");
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (3, 2, None));
    let of_one = AuditFilter { object: Some("site 1".into()), ..AuditFilter::default() };
    assert_eq!(objects(state, A, of_one).await, ["site 1", "site 1"]);
    let some_days = AuditFilter { from: Some(at(1)), to: Some(at(3)), ..AuditFilter::default() };
    assert_eq!(objects(state, A, some_days).await, ["site 0", "site 1"]);
    assert_eq!(objects(state, None, AuditFilter::default()).await.len(), 5);
    assert!(objects(state, B, AuditFilter::default()).await.is_empty());
    assert!(state.audit(A, &AuditFilter::default(), Some("x"), 3).await.is_err());
    state.sweep(at(AUDIT_DAYS + 2)).await.expect("sweep");
    assert_eq!(objects(state, A, AuditFilter::default()).await.len(), 2);
}
