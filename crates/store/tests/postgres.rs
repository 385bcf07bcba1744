//! The contract suite on the scale-out engine, and what only this engine promises. Needs a server to make databases on:
//! `make test` brings one, see `tests/postgres/with`.

#[path = "support/server.rs"]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use server::{connect, run};
use tillstream_model::{CompanyNo, Position, Time};
use tillstream_store::postgres::{self, Options};
use tillstream_store::state::LogEntry;
use tillstream_store::suite::{self, Engine, START, content, full_content, settings};
use tillstream_store::{Append, Appended, MasterKey, ReadLimit, Retention, Stores};

const COMPANY: CompanyNo = CompanyNo(1);
const ALL: ReadLimit = ReadLimit { events: 1_000, bytes: usize::MAX };

/// A database of its own and a clock.
struct Postgres {
    name: String,
    now: Arc<AtomicI64>,
}

impl Postgres {
    fn new() -> Self {
        let name = format!("t_{:016x}", rand::random::<u64>());
        Self { name, now: Arc::new(AtomicI64::new(START.millis())) }
    }

    fn url(&self) -> String {
        server::url(&self.name)
    }

    fn options(&self) -> Options {
        let now = self.now.clone();
        let clock = Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)));
        Options::new(self.url(), "test".into(), clock, MasterKey::new([7; 32]))
    }

    async fn open_with(&self, options: Options) -> Stores {
        let sql = format!("CREATE DATABASE {}", self.name);
        if let Err(e) = run(&server::server(), &sql).await {
            let exists = e.as_db_error().is_some_and(|e| e.code().code() == "42P04");
            assert!(exists, "{e:?}");
        }
        postgres::open(options).await.unwrap()
    }
}

#[async_trait]
impl Engine for Postgres {
    async fn open(&self) -> Stores {
        self.open_with(self.options()).await
    }

    fn set_time(&self, now: Time) {
        self.now.store(now.millis(), Ordering::Release);
    }

    async fn at_rest(&self) -> Vec<u8> {
        let (client, _connection) = connect(&self.url()).await;
        let columns =
            "SELECT table_name::text, quote_ident(column_name), data_type = 'bytea' FROM information_schema.columns
                       WHERE table_schema = 'public'";
        let mut bytes = Vec::new();
        for column in client.query(columns, &[]).await.unwrap() {
            let (table, name, binary): (String, String, bool) = (column.get(0), column.get(1), column.get(2));
            let text = if binary { format!("encode({name}, 'escape')") } else { format!("{name}::text") };
            for row in client.query(&format!("SELECT coalesce({text}, '') FROM {table}"), &[]).await.unwrap() {
                bytes.extend(row.get::<_, String>(0).into_bytes());
            }
        }
        bytes
    }
}

fn append(events: usize) -> Append {
    let events = (0..events).map(|n| content("order.saved", &n.to_string())).collect();
    Append { company: COMPANY, retention: Retention::Month, events }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_contract() {
    suite::log_contract(Postgres::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_keeps_its_contract() {
    suite::state_contract(Postgres::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_one_log() {
    let engine = Postgres::new();
    let (a, b) = (engine.open().await, engine.open().await);
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let (x, y) = tokio::join!(a.log.append(append(2)), b.log.append(append(2)));
        of_a.extend(x.unwrap());
        of_b.extend(y.unwrap());
    }
    let seq = |a: &Appended| if let Appended::New { seq, .. } = a { *seq } else { 0 };
    let mut seqs: Vec<_> = of_a.iter().chain(&of_b).map(seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    for node in [&a, &b] {
        let read: Vec<_> = node.log.read(COMPANY, 0, ALL).await.unwrap().iter().map(|e| e.seq).collect();
        assert_eq!(read, seqs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bell_rings_although_somebody_has_read_the_event_already() {
    let engine = Postgres::new();
    let (a, b) = (engine.open().await, engine.open().await);
    let bell = b.log.bell();
    for n in 1..=20 {
        a.log.append(append(1)).await.unwrap();
        assert_eq!(b.log.read(COMPANY, n - 1, ALL).await.unwrap().len(), 1);
        let rung = tokio::time::timeout(std::time::Duration::from_secs(3), bell.wait()).await;
        assert!(rung.is_ok_and(|rung| rung.contains(&COMPANY)), "nobody was told of event {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_hears_what_another_writes() {
    let engine = Postgres::new();
    let (a, b) = (engine.open().await, engine.open().await);
    b.log.append(append(1)).await.unwrap();
    let bell = a.log.bell();
    for n in 2..20 {
        b.log.append(append(1)).await.unwrap();
        let heard = async {
            while a.log.read(COMPANY, n - 1, ALL).await.unwrap().is_empty() {
                bell.wait().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(1), heard).await.expect("a ring within a second");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_one_node_erases_leaves_the_memory_of_another() {
    let engine = Postgres::new();
    let (a, b) = (engine.open().await, engine.open().await);
    a.log.append(append(2)).await.unwrap();
    let known = b.log.read(COMPANY, 0, ALL).await.unwrap();
    assert!(a.log.erase(COMPANY, 1, known[0].id).await.unwrap());
    let forgotten = async {
        while !b.log.is_erased(COMPANY, 1) || !b.log.read(COMPANY, 0, ALL).await.unwrap()[0].content.is_erased() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), forgotten).await.expect("it hears of it in seconds");
    assert!(!b.log.read(COMPANY, 1, ALL).await.unwrap()[0].content.is_erased(), "the other event stays");
    let c = engine.open().await;
    let begun = async {
        while !c.log.is_erased(COMPANY, 1) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), begun).await.expect("who comes later hears of it, too");
}

#[tokio::test]
async fn another_master_key_does_not_open_the_database() {
    let engine = Postgres::new();
    drop(engine.open().await);
    let other = Options { master_key: MasterKey::new([8; 32]), ..engine.options() };
    let refused = postgres::open(other).await.err().unwrap();
    assert!(refused.to_string().contains("master key"), "{refused}");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let engine = Postgres::new();
    drop(engine.open().await);
    run(&engine.url(), "UPDATE meta SET value = '99' WHERE name = 'version'").await.unwrap();
    let refused = postgres::open(engine.options()).await.err().unwrap();
    assert!(refused.to_string().contains("version 99"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_while_nodes_run_leaves_nothing_under_the_old_key() {
    let engine = Postgres::new();
    let (old, new) = (MasterKey::new([7; 32]), MasterKey::new([8; 32]));
    let with = |key: &MasterKey| Options { master_key: key.clone(), ..engine.options() };
    let alone = engine.open_with(with(&old)).await;
    alone.state.create_company("a", "A", Retention::Month, vec![]).await.unwrap();
    let entry = || LogEntry { action: "edited".into(), reason: String::new(), actor: "k".into(), at: START };
    let made = alone.state.create_integration(COMPANY, settings("erp", "s3cret"), 0, entry()).await.unwrap();

    let both = new.clone().after(&old);
    let node = engine.open_with(with(&both)).await;
    node.state.save_settings(COMPANY, settings("erp", "an0ther"), None, 0, entry()).await.unwrap();
    assert!(
        alone.state.settings_at(made.no, 0).await.is_ok(),
        "what a node with both keys saves still opens with the old one"
    );

    let rotated = postgres::rotate_key(&with(&both)).await.unwrap();
    assert!(rotated.resealed >= 8 && rotated.left.is_empty(), "{rotated:?}");
    node.state.save_settings(COMPANY, settings("erp", "a third"), None, 0, entry()).await.unwrap();
    let refused = alone.state.save_settings(COMPANY, settings("erp", "x"), None, 0, entry()).await;
    assert!(refused.is_err(), "a node without the new key seals nothing any more");
    assert_eq!(
        postgres::rotate_key(&with(&both)).await.unwrap().resealed,
        0,
        "what was saved meanwhile has the new key"
    );
    let last = engine.open_with(with(&new)).await;
    assert_eq!(last.state.versions(made.no, None, 10).await.unwrap().items.len(), 3);
    assert!(postgres::open(with(&old)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_before_events_had_traces_opens() {
    let engine = Postgres::new();
    let append = |n: &str| Append { company: COMPANY, retention: Retention::Month, events: vec![full_content(n)] };
    engine.open().await.log.append(append("c-1")).await.unwrap();
    let before = "DROP TABLE gone; ALTER TABLE log_heads DROP COLUMN closed;
                  ALTER TABLE events_template DROP COLUMN trace; ALTER TABLE events_30d_2026_11_21 DROP COLUMN trace;
                  UPDATE meta SET value = '2' WHERE name = 'version'";
    run(&engine.url(), before).await.unwrap();
    let stores = engine.open().await;
    stores.log.append(append("c-2")).await.unwrap();
    engine.set_time(START + std::time::Duration::from_secs(86_400));
    stores.log.append(append("c-3")).await.unwrap();
    let events = stores.log.read(COMPANY, 0, ALL).await.unwrap();
    assert_eq!(events.iter().map(|e| e.content.trace.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_begins_a_new_epoch_where_every_log_ends() {
    let engine = Postgres::new();
    {
        let stores = engine.open().await;
        stores.log.append(append(3)).await.unwrap();
        assert_eq!(stores.epochs.current(), 1);
    }
    let epoch = postgres::mark_restored(&engine.options()).await.unwrap();
    assert_eq!(i64::from(epoch), START.millis() / 1_000);
    let stores = engine.open().await;
    assert_eq!(stores.epochs.current(), epoch);
    assert_eq!(stores.epochs.resolve(COMPANY, Position { epoch: 1, seq: 99 }), Some(3));
    assert_eq!(postgres::mark_restored(&engine.options()).await.unwrap(), epoch + 1, "also in the same second");
}
