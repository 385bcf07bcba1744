//! Companies and keys.

use tillstream_model::{CompanyNo, Time};

use super::{Engine, START};
use crate::state::{Bound, Company, CompanyStatus, CreateError, Key, Limits, Rules, UnknownSites};
use crate::{Retention, State};

pub(super) async fn companies_are_listed_by_number_and_their_ids_are_unique(engine: &impl Engine) {
    let stores = engine.open().await;
    let make = async |id: &str| stores.state.create_company(id, "A name", Retention::Year, vec!["a.b".into()]).await;
    let first = make("acme").await.expect("create");
    let second = make("bond").await.expect("create");
    assert!(matches!(make("acme").await, Err(CreateError::Taken)));
    assert!(first.no < second.no && first.no > CompanyNo(0));
    assert_eq!((first.external_id.as_str(), first.name.as_str(), first.retention), ("acme", "A name", Retention::Year));
    drop(stores);
    let stores = engine.open().await;
    assert_eq!(stores.state.companies().await.expect("companies"), [first, second]);
}

pub(super) async fn a_company_is_saved_as_a_whole(engine: &impl Engine) {
    let stores = engine.open().await;
    let mut company = stores.state.create_company("acme", "A", Retention::Week, vec![]).await.expect("create");
    company.name = "B".into();
    company.retention = Retention::Year;
    company.ingest_drop = vec!["card".into()];
    company.rules = Rules {
        status: CompanyStatus::Suspended,
        limits: Limits { events_per_second: Some(7), stored_bytes: Some(1 << 40), integrations: None },
        unknown_sites: UnknownSites::Hold,
        timezone: "Europe/Vienna".into(),
        lagging_after_seconds: Some(60),
    };
    assert!(stores.state.save_company(company.clone()).await.expect("save"));
    assert!(!stores.state.save_company(Company { no: CompanyNo(99), ..company.clone() }).await.expect("save"));
    let stores = super::reopen(engine, stores).await;
    assert_eq!(stores.state.companies().await.expect("companies"), [company]);
}

pub(super) fn key(id: &str, company: Option<u32>, byte: u8) -> Key {
    Key {
        id: id.into(),
        company: company.map(CompanyNo),
        name: format!("key {id}"),
        scopes: vec!["events:write".into(), "x".into()],
        bound: Bound { sites: vec![id.into()], integrations: vec![], events_per_second: Some(7) },
        hash: [byte; 32],
        created_at: Time::from_millis(1_000 - i64::from(byte)),
        expires_at: company.map(|_| START),
        last_used_at: None,
    }
}

async fn ids(state: &dyn State, company: Option<u32>) -> Vec<String> {
    state.keys(company.map(CompanyNo)).await.expect("keys").into_iter().map(|k| k.id).collect()
}

pub(super) async fn keys_are_found_by_hash_and_belong_to_their_company(engine: &impl Engine) {
    let stores = engine.open().await;
    let state = &*stores.state;
    for key in [key("a", Some(1), 1), key("b", Some(1), 2), key("c", Some(2), 3), key("op", None, 4)] {
        state.create_key(key).await.expect("create");
    }
    assert!(state.create_key(key("other", Some(1), 1)).await.is_err(), "two keys with one hash");
    assert_eq!(state.key_by_hash(&[2; 32]).await.expect("key"), Some(key("b", Some(1), 2)));
    assert_eq!(state.key_by_hash(&[9; 32]).await.expect("key"), None);
    assert_eq!(ids(state, Some(1)).await, ["b", "a"], "oldest first");
    assert_eq!(ids(state, None).await, ["op"]);
    let used = vec![("a".to_owned(), START), ("gone".to_owned(), START)];
    state.touch_keys(used).await.expect("touch");
    state.touch_keys(vec![("a".to_owned(), Time::from_millis(1))]).await.expect("touch");
    assert_eq!(state.key_by_hash(&[1; 32]).await.expect("key").and_then(|k| k.last_used_at), Some(START));
    assert!(!state.delete_key(Some(CompanyNo(2)), "a").await.expect("delete"), "another company's key");
    assert!(!state.delete_key(None, "a").await.expect("delete"));
    assert!(state.delete_key(Some(CompanyNo(1)), "a").await.expect("delete"));
    assert!(state.delete_key(None, "op").await.expect("delete"));
    assert_eq!((ids(state, Some(1)).await.len(), ids(state, None).await.len()), (1, 0));
}
