//! The contract suite on the embedded engine, and what only this engine promises.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tillstream_model::{CompanyNo, Time};
use tillstream_store::sqlite::{self, Fault, FaultPoint, Faults, Options};
use tillstream_store::suite::{self, Engine, START, content, full_content, settings};
use tillstream_store::{Append, AppendError, Appended, MasterKey, ReadLimit, Retention, Stores};

const COMPANY: CompanyNo = CompanyNo(1);
const ALL: ReadLimit = ReadLimit { events: 1_000, bytes: usize::MAX };

/// A folder and a clock.
struct Sqlite {
    folder: TempDir,
    now: Arc<AtomicI64>,
}

impl Sqlite {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicI64::new(START.millis())) }
    }

    fn options(&self) -> Options {
        let now = self.now.clone();
        let clock = Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)));
        let mut options = Options::new(clock, MasterKey::new([7; 32]));
        options.on_fatal = Arc::new(|reason| panic!("{reason}"));
        options.min_free_bytes = 0;
        options
    }

    fn open_with(&self, options: Options) -> Stores {
        sqlite::open(self.folder.path(), options).unwrap()
    }
}

#[async_trait]
impl Engine for Sqlite {
    async fn open(&self) -> Stores {
        self.open_with(self.options())
    }

    fn set_time(&self, now: Time) {
        self.now.store(now.millis(), Ordering::Release);
    }

    async fn at_rest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        collect(self.folder.path(), &mut bytes);
        bytes
    }
}

fn collect(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, bytes);
        } else {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
}

fn append(events: usize) -> Append {
    let events = (0..events).map(|n| content("order.saved", &n.to_string())).collect();
    Append { company: COMPANY, retention: Retention::Month, events }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_contract() {
    suite::log_contract(Sqlite::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_keeps_its_contract() {
    suite::state_contract(Sqlite::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_contract_with_nothing_in_memory() {
    struct NoTail(Sqlite);
    #[async_trait]
    impl Engine for NoTail {
        async fn open(&self) -> Stores {
            self.0.open_with(Options { tail_bytes: 0, ..self.0.options() })
        }
        fn set_time(&self, now: Time) {
            self.0.set_time(now);
        }
        async fn at_rest(&self) -> Vec<u8> {
            self.0.at_rest().await
        }
    }
    suite::log_contract(|| NoTail(Sqlite::new())).await;
}

#[tokio::test]
async fn a_second_process_is_kept_out_but_may_make_keys() {
    let engine = Sqlite::new();
    let stores = engine.open().await;
    let refused = sqlite::open(engine.folder.path(), engine.options()).err().unwrap();
    assert!(refused.to_string().contains("another process has it open"), "{refused}");
    let beside = sqlite::open_state(engine.folder.path(), engine.options()).unwrap();
    beside.create_company("acme", "Acme", Retention::Month, vec![]).await.unwrap();
    stores.state.create_company("bond", "Bond", Retention::Month, vec![]).await.unwrap();
    assert_eq!(stores.state.companies().await.unwrap().len(), 2);
}

#[tokio::test]
async fn another_master_key_does_not_open_the_folder() {
    let engine = Sqlite::new();
    drop(engine.open().await);
    let other = Options { master_key: MasterKey::new([8; 32]), ..engine.options() };
    let refused = sqlite::open(engine.folder.path(), other).err().unwrap();
    assert!(refused.to_string().contains("master key"), "{refused}");
    drop(engine.open().await);
}

/// Puts a failure at a point until it is taken away.
struct Put(Mutex<Option<(FaultPoint, Fault)>>);

impl Faults for Put {
    fn at(&self, point: FaultPoint) -> Option<Fault> {
        self.0.lock().unwrap().filter(|(at, _)| *at == point).map(|(_, fault)| fault)
    }
}

fn with_faults(engine: &Sqlite) -> (Options, Arc<Put>, Arc<AtomicUsize>) {
    let (faults, fatal) = (Arc::new(Put(Mutex::new(None))), Arc::new(AtomicUsize::new(0)));
    let count = fatal.clone();
    let on_fatal = Arc::new(move |_: &str| {
        count.fetch_add(1, Ordering::AcqRel);
    });
    (Options { faults: Some(faults.clone()), on_fatal, ..engine.options() }, faults, fatal)
}

#[tokio::test]
async fn a_full_disk_refuses_the_whole_group_and_the_next_one_works() {
    let engine = Sqlite::new();
    let (options, faults, fatal) = with_faults(&engine);
    let stores = engine.open_with(options);
    stores.log.append(append(2)).await.unwrap();
    *faults.0.lock().unwrap() = Some((FaultPoint::LogCommit, Fault::Full));
    assert!(matches!(stores.log.append(append(3)).await, Err(AppendError::DiskFull)));
    assert_eq!(stores.log.head(COMPANY).await.unwrap(), 2);
    *faults.0.lock().unwrap() = Some((FaultPoint::StateCommit, Fault::Full));
    let refused = stores.state.create_company("acme", "Acme", Retention::Month, vec![]).await.unwrap_err();
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    *faults.0.lock().unwrap() = None;
    let answers = stores.log.append(append(1)).await.unwrap();
    assert!(matches!(answers[0], Appended::New { seq: 3, .. }));
    stores.state.create_company("acme", "Acme", Retention::Month, vec![]).await.unwrap();
    assert_eq!(stores.log.read(COMPANY, 0, ALL).await.unwrap().len(), 3);
    assert_eq!(fatal.load(Ordering::Acquire), 0);
}

#[tokio::test]
async fn an_io_error_at_a_commit_ends_the_process_without_an_answer() {
    for (point, kept) in [(FaultPoint::LogCommit, 0), (FaultPoint::LogCommitted, 2)] {
        let engine = Sqlite::new();
        let (options, faults, fatal) = with_faults(&engine);
        let stores = engine.open_with(options);
        *faults.0.lock().unwrap() = Some((point, Fault::Io));
        let unanswered = tokio::time::timeout(Duration::from_millis(300), stores.log.append(append(2))).await;
        assert!(unanswered.is_err(), "answered: {unanswered:?}");
        assert_eq!(fatal.load(Ordering::Acquire), 1);
        assert!(matches!(stores.log.ready(), Err(AppendError::Unavailable(_))));
        drop(stores);
        assert_eq!(engine.open().await.log.head(COMPANY).await.unwrap(), kept, "{point:?}");
    }
}

#[tokio::test]
async fn an_io_error_at_a_commit_of_the_state_ends_the_process_without_an_answer() {
    let engine = Sqlite::new();
    let (options, faults, fatal) = with_faults(&engine);
    let stores = engine.open_with(options);
    *faults.0.lock().unwrap() = Some((FaultPoint::StateCommit, Fault::Io));
    let call = stores.state.create_company("acme", "Acme", Retention::Month, vec![]);
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err());
    assert_eq!(fatal.load(Ordering::Acquire), 1);
    drop(stores);
    assert!(engine.open().await.state.companies().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_events_and_is_not_ready() {
    let engine = Sqlite::new();
    let stores = engine.open_with(Options { min_free_bytes: u64::MAX, ..engine.options() });
    assert!(matches!(stores.log.append(append(1)).await, Err(AppendError::DiskFull)));
    assert!(matches!(stores.log.ready(), Err(AppendError::DiskFull)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_over_the_queues_bytes_are_behind_and_nothing_of_them_is_kept() {
    let engine = Sqlite::new();
    let size = content("order.saved", "0").size();
    let stores = engine.open_with(Options { queue_bytes: 10 * size, ..engine.options() });
    let answers = futures_util::future::join_all((0..200).map(|_| stores.log.append(append(5)))).await;
    let taken = answers.iter().filter(|a| a.is_ok()).count();
    let behind = answers.iter().filter(|a| matches!(a, Err(AppendError::Behind { .. }))).count();
    assert!(taken >= 1 && behind >= 1 && taken + behind == 200, "{taken} taken, {behind} behind");
    assert_eq!(stores.log.head(COMPANY).await.unwrap(), 5 * taken as u64);
}

#[tokio::test]
async fn a_folder_of_version_1_opens() {
    let engine = Sqlite::new();
    for (path, sql) in [
        ("state.db", include_str!("../src/sqlite/schema/state_1.sql")),
        ("log/meta.db", include_str!("../src/sqlite/schema/meta_1.sql")),
        ("log/30d/2026-11-21.db", include_str!("../src/sqlite/schema/log_1.sql")),
        ("attempts/2026-11-21.db", include_str!("../src/sqlite/schema/attempts_1.sql")),
    ] {
        let path = engine.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.execute_batch(sql).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.execute_batch("PRAGMA journal_mode = wal").unwrap();
    }
    let sample = engine.folder.path().join("log/30d/2026-11-21.db");
    let row = "INSERT INTO events VALUES ((1 << 40) | 1, 1795255200000, x'01010101010101010101', 'order.saved',
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{\"a\":1}')";
    rusqlite::Connection::open(sample).unwrap().execute(row, []).unwrap();
    let stores = engine.open().await;
    let events = stores.log.read(COMPANY, 0, ALL).await.unwrap();
    assert_eq!((events.len(), events[0].content.data.get()), (1, r#"{"a":1}"#));
    assert_eq!(events[0].content.trace, None);
    let traced = Append { company: COMPANY, retention: Retention::Month, events: vec![full_content("c")] };
    stores.log.append(traced).await.unwrap();
    assert!(stores.log.read(COMPANY, 1, ALL).await.unwrap()[0].content.trace.is_some());
    let entry = tillstream_store::state::LogEntry {
        action: "created".into(),
        reason: String::new(),
        actor: "x".into(),
        at: START,
    };
    stores.state.create_integration(COMPANY, settings("erp", "hush"), 0, entry).await.unwrap();
}

#[tokio::test]
async fn a_segment_that_was_closed_before_events_had_traces_is_read() {
    let engine = Sqlite::new();
    let append = |n: &str| Append { company: COMPANY, retention: Retention::Month, events: vec![full_content(n)] };
    {
        let stores = engine.open().await;
        stores.log.append(append("c-1")).await.unwrap();
        engine.set_time(START + Duration::from_secs(86_400));
        stores.log.append(append("c-2")).await.unwrap();
    }
    let old = rusqlite::Connection::open(engine.folder.path().join("log/30d/2026-11-21.db")).unwrap();
    old.execute_batch("ALTER TABLE events DROP COLUMN trace; PRAGMA user_version = 1").unwrap();
    let stores = engine.open().await;
    let events = stores.log.read(COMPANY, 0, ALL).await.unwrap();
    assert_eq!(events.iter().map(|e| e.content.trace.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(events[0].content.fingerprint(), full_content("c-1").fingerprint());
    let found = stores.log.find(COMPANY, events[0].id).await.unwrap();
    assert_eq!(found.unwrap().seq, 1);
}

#[tokio::test]
async fn a_file_of_the_index_that_was_being_made_is_finished_and_a_broken_one_is_made_again() {
    let engine = Sqlite::new();
    drop(engine.open().await);
    let index = engine.folder.path().join("index");
    for (day, content) in [("2026-11-20", ""), ("2026-11-21", "this is no database, however long it may be")] {
        std::fs::write(index.join(format!("{day}.db")), content).unwrap();
    }
    let stores = engine.open().await;
    assert_eq!(stores.index.reached(COMPANY, 0).await.unwrap(), 0);
    assert!(index.join("2026-11-20.db").exists() && !index.join("2026-11-21.db").exists());
}

#[tokio::test]
async fn an_unknown_or_open_segment_is_not_dropped() {
    let engine = Sqlite::new();
    let stores = engine.open().await;
    stores.log.append(append(1)).await.unwrap();
    for name in ["30d/2026-11-21", "../30d/2020-01-01", "x"] {
        assert!(stores.log.drop_segment(name).await.is_err(), "{name}");
    }
    assert_eq!(stores.log.read(COMPANY, 0, ALL).await.unwrap().len(), 1);
}
