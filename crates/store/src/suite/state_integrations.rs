//! Integrations and their settings.

use std::time::Duration;

use tillstream_model::integration::Status;
use tillstream_model::{CompanyNo, Ranges};

use super::samples::{attempt, entry, parked, rejected};
use super::{Engine, START, reopen, settings};
use crate::State;
use crate::state::{AttemptFilter, CreateError, Integration, LaneCommit, SaveError};

/// The company of most clauses.
pub(super) const A: CompanyNo = CompanyNo(1);
/// Another one.
pub(super) const B: CompanyNo = CompanyNo(2);

/// Makes an integration of company 1 whose cursor stands at 10.
pub(super) async fn make(state: &dyn State, id: &str) -> Integration {
    state.create_integration(A, settings(id, "hush-hush"), 10, entry("created", START)).await.expect("create")
}

async fn get(state: &dyn State, company: CompanyNo, id: &str) -> Option<Integration> {
    state.integration(company, id).await.expect("integration")
}

async fn actions(state: &dyn State, of: &Integration) -> Vec<String> {
    let page = state.log_entries(of.no, None, 100).await.expect("entries");
    page.items.into_iter().map(|e| e.action).collect()
}

pub(super) async fn an_integration_reads_back_and_its_id_is_unique_per_company(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    assert_eq!((made.company, made.version, made.status, &made.status_reason), (A, 1, Status::Running, &None));
    assert_eq!(*made.settings, settings("erp", "hush-hush"));
    let again = stores.state.create_integration(A, settings("erp", "other"), 0, entry("created", START)).await;
    assert!(matches!(again, Err(CreateError::Taken)));
    let other = stores.state.create_integration(B, settings("erp", "other"), 0, entry("created", START)).await;
    assert_ne!(other.expect("ids are unique per company only").no, made.no);
    drop(stores);
    let stores = engine.open().await;
    assert_eq!(get(&*stores.state, A, "erp").await, Some(made.clone()));
    assert_eq!(get(&*stores.state, A, "x").await, None);
    assert_eq!(stores.state.lane(made.no).await.expect("lane").cursor, 10);
    assert_eq!(actions(&*stores.state, &made).await, ["created"]);
}

pub(super) async fn versions_are_listed_newest_first(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let made = state.create_integration(A, settings("erp", "one"), 7, entry("created", START)).await.expect("create");
    for (at, secret) in [(10, "two"), (20, "three")] {
        let entry = entry("edited", START + Duration::from_secs(at));
        state.save_settings(A, settings("erp", secret), None, at, entry).await.expect("save");
    }
    let first = state.versions(made.no, None, 2).await.expect("versions");
    let told: Vec<_> = first.items.iter().map(|v| (v.version, v.from, v.actor.as_str())).collect();
    assert_eq!(told, [(3, 20, "key k1"), (2, 10, "key k1")]);
    assert_eq!(
        (&first.items[1].settings, first.items[1].saved_at),
        (&settings("erp", "two"), START + Duration::from_secs(10))
    );
    let rest = state.versions(made.no, first.next.as_deref(), 2).await.expect("versions");
    assert_eq!((rest.items.len(), &rest.items[0].settings, rest.next), (1, &settings("erp", "one"), None));
    state.delete_integration(A, "erp").await.expect("delete");
    assert!(state.versions(made.no, None, 2).await.expect("versions").items.is_empty());
}

pub(super) async fn settings_are_versions_that_take_effect_at_a_position(engine: &impl Engine) {
    let mut stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let later = START + Duration::from_secs(60);
    let saved = stores.state.save_settings(A, settings("erp", "second"), Some(1), 20, entry("edited", later)).await;
    let saved = saved.expect("save");
    assert_eq!((saved.no, saved.version, saved.created_at, saved.updated_at), (made.no, 2, START, later));
    stores.state.save_settings(A, settings("erp", "third"), None, 30, entry("edited", later)).await.expect("save");
    for _ in 0..2 {
        let at = async |seq| stores.state.settings_at(made.no, seq).await.expect("settings");
        assert_eq!(at(10).await, None, "nothing was in force before the first version");
        for (seq, version, secret) in
            [(11, 1, "hush-hush"), (20, 1, "hush-hush"), (21, 2, "second"), (30, 2, "second"), (31, 3, "third")]
        {
            assert_eq!(at(seq).await, Some((version, settings("erp", secret))), "at {seq}");
        }
        assert_eq!(get(&*stores.state, A, "erp").await.map(|i| i.version), Some(3));
        assert_eq!(actions(&*stores.state, &made).await, ["edited", "edited", "created"]);
        stores = reopen(engine, stores).await;
    }
}

pub(super) async fn of_two_saves_of_one_version_one_is_refused(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let save =
        |secret: &str| stores.state.save_settings(A, settings("erp", secret), Some(1), 20, entry("edited", START));
    let (one, two) = tokio::join!(save("one"), save("two"));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    assert_eq!(won.expect("one is saved").version, 2);
    assert!(matches!(lost, Err(SaveError::Changed(2))));
    assert_eq!(actions(&*stores.state, &made).await, ["edited", "created"]);
    let unknown = stores.state.save_settings(B, settings("erp", "x"), None, 20, entry("edited", START)).await;
    assert!(matches!(unknown, Err(SaveError::Unknown)), "another company's integration");
}

pub(super) async fn starting_and_stopping_is_logged_with_its_reason(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let set = async |company, status, action: &str| {
        stores.state.set_status(company, "erp", status, entry(action, START)).await.expect("set")
    };
    let stopped = set(A, Status::Stopped, "stopped").await.expect("there is one");
    assert_eq!((stopped.status, stopped.status_reason.as_deref()), (Status::Stopped, Some("because of stopped")));
    set(A, Status::Stopped, "again").await;
    let now = get(&*stores.state, A, "erp").await.expect("there is one");
    assert_eq!(now.status_reason.as_deref(), Some("because of again"));
    assert_eq!(actions(&*stores.state, &made).await, ["stopped", "created"], "the same status is no news");
    set(A, Status::Running, "started").await;
    assert_eq!(actions(&*stores.state, &made).await, ["started", "stopped", "created"]);
    assert_eq!(set(B, Status::Stopped, "stopped").await, None, "another company's integration");
}

pub(super) async fn integrations_are_listed_by_id_in_pages(engine: &impl Engine) {
    let stores = engine.open().await;
    for id in ["c", "a", "e", "d", "b"] {
        make(&*stores.state, id).await;
    }
    stores.state.create_integration(B, settings("bb", "x"), 0, entry("created", START)).await.expect("create");
    let list = async |after: Option<&str>| {
        let list = stores.state.integrations(A, after, 2).await.expect("list");
        list.into_iter().map(|i| i.settings.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(list(None).await, ["a", "b"]);
    assert_eq!(list(Some("b")).await, ["c", "d"]);
    assert_eq!(list(Some("d")).await, ["e"]);
    assert!(list(Some("e")).await.is_empty());
}

pub(super) async fn a_deleted_integration_takes_everything_with_it(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    let old = make(state, "erp").await;
    let commit = || LaneCommit {
        cursor: 11,
        settled: Ranges::from(vec![(13, 14)]),
        park: vec![parked(12, None)],
        reject: (20..60).map(|seq| rejected(seq, START)).collect(),
        attempts: (20..60).map(|seq| attempt(seq, 1, START)).collect(),
        ..LaneCommit::default()
    };
    state.commit(old.no, commit()).await.expect("commit");
    assert!(!state.delete_integration(B, "erp").await.expect("delete"), "another company's integration");
    assert!(state.delete_integration(A, "erp").await.expect("delete"));
    assert!(!state.delete_integration(A, "erp").await.expect("delete"));
    state.commit(old.no, commit()).await.expect("a late commit is no error");
    let new = make(state, "erp").await;
    assert_ne!(new.no, old.no, "a number was used again");
    for swept in [false, true] {
        if swept {
            state.sweep(START).await.expect("sweep");
        }
        assert_gone(state, &old).await;
        assert_eq!(actions(state, &new).await, ["created"]);
    }
}

async fn assert_gone(state: &dyn State, old: &Integration) {
    let lane = state.lane(old.no).await.expect("lane");
    assert_eq!((lane.cursor, lane.settled.len(), lane.parked.len()), (0, 0, 0));
    assert_eq!(state.lane_figures(old.no).await.expect("figures"), Default::default());
    assert!(state.parked_of(old.no, 12).await.expect("parked").is_none());
    assert!(state.settings_at(old.no, 99).await.expect("settings").is_none());
    assert!(state.rejected(old.no, None, 10).await.expect("rejected").items.is_empty());
    assert!(state.rejected_of(old.no, rejected(20, START).event.id).await.expect("rejected").is_none());
    assert!(!state.retry_rejected(old.no, 1, START).await.expect("retry"));
    assert!(state.log_entries(old.no, None, 10).await.expect("entries").items.is_empty());
    assert!(state.attempts_of(old.no, 20).await.expect("attempts").is_empty());
    for integrations in [vec![], vec![old.no]] {
        let filter = AttemptFilter { integrations, ..AttemptFilter::default() };
        assert!(state.attempts(A, &filter, None, 10).await.expect("attempts").items.is_empty());
    }
}

pub(super) async fn secrets_are_never_stored_open(engine: &impl Engine) {
    let stores = engine.open().await;
    let secret = "Zq7-very-secret-Zq7";
    stores.state.create_integration(A, settings("erp", secret), 0, entry("created", START)).await.expect("create");
    stores.state.save_settings(A, settings("erp", secret), None, 5, entry("edited", START)).await.expect("save");
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    let open = engine.at_rest().await;
    drop(stores);
    for bytes in [open, engine.at_rest().await] {
        assert!(holds(&bytes, "Integration erp"), "the settings are not where this clause looks");
        assert!(!holds(&bytes, secret), "a secret is stored open");
        assert!(!holds(&bytes, "secret-Zq7"), "a part of a secret is stored open");
    }
    let stores = engine.open().await;
    assert_eq!(get(&*stores.state, A, "erp").await.map(|i| (*i.settings).clone()), Some(settings("erp", secret)));
}

pub(super) async fn an_integrations_log_is_paged_newest_first(engine: &impl Engine) {
    let stores = engine.open().await;
    let made = make(&*stores.state, "erp").await;
    let log = (0..4).map(|n| entry(&format!("n{n}"), START + Duration::from_secs(n))).collect();
    stores.state.commit(made.no, LaneCommit { log, ..LaneCommit::default() }).await.expect("commit");
    let first = stores.state.log_entries(made.no, None, 3).await.expect("entries");
    assert_eq!(first.items[0], entry("n3", START + Duration::from_secs(3)));
    let second = stores.state.log_entries(made.no, first.next.as_deref(), 3).await.expect("entries");
    let seen: Vec<_> = first.items.iter().chain(&second.items).map(|e| e.action.as_str()).collect();
    assert_eq!(seen, ["n3", "n2", "n1", "n0", "created"]);
    assert!(first.next.is_some() && second.next.is_none());
    assert!(stores.state.log_entries(made.no, Some("nonsense"), 3).await.is_err());
}
