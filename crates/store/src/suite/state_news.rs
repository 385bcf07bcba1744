//! What is still to be told, and secrets of documents.

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, Time};

use super::{Engine, START, reopen, settings};
use crate::State;
use crate::state::{AuditEntry, LaneCommit, LogEntry, News};

const A: CompanyNo = CompanyNo(1);

fn entry(action: &str) -> LogEntry {
    LogEntry { action: action.into(), reason: "so".into(), actor: "system".into(), at: START }
}

fn audited(company: Option<CompanyNo>, object: &str) -> AuditEntry {
    AuditEntry {
        company,
        at: START,
        actor: "key k1".into(),
        action: "site.saved".into(),
        object: object.into(),
        before: Some("1".into()),
        after: Some("2".into()),
    }
}

/// Actions of integrations and objects of the audit, as they are to be told.
async fn untold(state: &dyn State, limit: usize) -> Vec<String> {
    let news = state.untold(limit).await.expect("untold");
    let word = |news| match news {
        News::Entry { id, entry, .. } => format!("{id} {}", entry.action),
        News::Audited { entry, .. } => entry.object,
    };
    news.into_iter().map(word).collect()
}

pub(super) async fn news_is_untold_until_it_is_told(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let made = state.create_integration(A, settings("erp", "s"), 0, entry("created")).await.expect("create");
    assert!(untold(state, 9).await.is_empty(), "that it was made is no news");
    let log = vec![entry("retry_triggered"), entry("circuit_opened")];
    let stop = Some("so".to_owned());
    state.commit(made.no, LaneCommit { log, ..LaneCommit::default() }).await.expect("commit");
    state
        .commit(made.no, LaneCommit { log: vec![entry("stopped")], stop, ..LaneCommit::default() })
        .await
        .expect("stop");
    state.set_status(A, "erp", Status::Running, entry("started")).await.expect("start");
    state.record(audited(Some(A), "site 1")).await.expect("record");
    state.record(audited(None, "company x")).await.expect("record");
    let stores = reopen(engine, stores).await;
    let state = &*stores.state;
    assert_eq!(untold(state, 9).await, ["erp circuit_opened", "erp stopped", "site 1"]);
    assert_eq!(untold(state, 1).await, ["erp circuit_opened", "site 1"]);
    let News::Entry { company, no, entry: told, row, .. } = state.untold(1).await.expect("untold").remove(0) else {
        panic!("no entry");
    };
    assert_eq!((company, no, &told), (A, made.no, &entry("circuit_opened")));
    assert!(row > 0);
    let News::Audited { entry, .. } = state.untold(1).await.expect("untold").remove(1) else { panic!("no audit") };
    assert_eq!(entry, AuditEntry { before: None, after: None, ..audited(Some(A), "site 1") });
    let some = state.untold(1).await.expect("untold");
    state.told(&some).await.expect("told");
    state.told(&some).await.expect("told once more");
    assert_eq!(untold(state, 9).await, ["erp stopped"]);
    state.delete_integration(A, "erp").await.expect("delete");
    assert!(untold(state, 9).await.is_empty());
    let kept = state.audit(Some(A), &Default::default(), None, 9).await.expect("audit");
    assert_eq!(kept.items, [audited(Some(A), "site 1")]);
    state.sweep(Time::from_millis(START.millis() + 1)).await.expect("sweep");
}

pub(super) async fn a_documents_secret_opens_only_where_it_was_sealed(engine: &impl Engine) {
    let stores = engine.open().await;
    let sealed = stores.state.seal(Some(A), "contact/c1/secret", "whsec_QX7Z").await.expect("seal");
    assert!(!sealed.contains("QX7Z"));
    let stores = reopen(engine, stores).await;
    let unseal = |of, place: &str| stores.state.unseal(of, place, &sealed).ok();
    assert_eq!(unseal(Some(A), "contact/c1/secret").as_deref(), Some("whsec_QX7Z"));
    assert_eq!(unseal(Some(CompanyNo(2)), "contact/c1/secret"), None);
    assert_eq!(unseal(None, "contact/c1/secret"), None);
    assert_eq!(unseal(Some(A), "contact/c2/secret"), None);
}
