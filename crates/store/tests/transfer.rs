//! Moving a hub from a folder into a database: whatever the engines tell, they tell the same before and after.

#[path = "transfer/limits.rs"]
mod limits;
#[path = "support/server.rs"]
mod server;
#[path = "transfer/tables.rs"]
mod tables;

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tillstream_model::event::EntityKey;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Content, Position, Ranges, Time};
use tillstream_store::state::{
    Attempt, AttemptFilter, AuditEntry, AuditFilter, Bound, Bucket, Counts, Expected, Failure, Key, LaneCommit,
    LogEntry, Parked, Rejected, Resolution, Totals, name_hash,
};
use tillstream_store::suite::{START, content, full_content, settings};
use tillstream_store::transfer::{self, Moved};
use tillstream_store::{Append, Appended, Clock, MasterKey, ReadLimit, Retention, Stores, postgres, sqlite};

const A: CompanyNo = CompanyNo(1);
const B: CompanyNo = CompanyNo(2);
const KEY: [u8; 32] = [7; 32];
const ALL: ReadLimit = ReadLimit { events: 10_000, bytes: usize::MAX };

/// A folder, an empty database and a clock that both sides look at.
struct Move {
    folder: tempfile::TempDir,
    url: String,
    now: Arc<AtomicI64>,
}

impl Move {
    async fn prepare() -> Self {
        let name = format!("t_{:016x}", rand::random::<u64>());
        server::run(&server::server(), &format!("CREATE DATABASE {name}")).await.unwrap();
        let now = Arc::new(AtomicI64::new(START.millis()));
        Self { folder: tempfile::tempdir().unwrap(), url: server::url(&name), now }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn clock(&self) -> Clock {
        let now = self.now.clone();
        Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)))
    }

    fn now(&self) -> Time {
        (self.clock())()
    }

    fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::AcqRel);
    }

    fn from(&self) -> sqlite::Options {
        sqlite::Options::new(self.clock(), MasterKey::new(KEY))
    }

    fn to(&self, key: [u8; 32]) -> postgres::Options {
        postgres::Options::new(self.url.clone(), "test".into(), self.clock(), MasterKey::new(key))
    }

    fn embedded(&self) -> Stores {
        sqlite::open(self.data(), self.from()).unwrap()
    }

    async fn run(&self) -> Result<Moved, String> {
        let mut last = 0;
        let mut told = |p: transfer::Progress| {
            assert!(p.done >= last && p.done <= p.total, "{p:?} after {last}");
            last = p.done;
        };
        transfer::to_postgres(self.data(), self.from(), self.to(KEY), &mut told).await.map_err(|e| e.to_string())
    }
}

fn append(company: CompanyNo, retention: Retention, events: Vec<Content>) -> Append {
    Append { company, retention, events }
}

fn entry(action: &str, at: Time) -> LogEntry {
    LogEntry { action: action.into(), reason: "zero \0 in it".into(), actor: "key k".into(), at }
}

/// Something of everything: two companies, two retention classes on two days, one of which is dropped already,
/// repeated ids, lanes with all that hangs on them, a deleted integration.
async fn fill(stores: &Stores, moving: &Move) {
    let Stores { log, state, .. } = stores;
    state.create_company("a", "Company A", Retention::Month, vec!["card.number".into()]).await.unwrap();
    state.create_company("b", "Straße", Retention::Week, vec![]).await.unwrap();
    let key = |id: &str, company, hash| Key {
        id: id.into(),
        company,
        name: format!("key {id}"),
        scopes: vec!["events:write".into()],
        bound: Bound { sites: vec!["175".into()], integrations: vec![], events_per_second: Some(7) },
        hash: [hash; 32],
        created_at: START,
        expires_at: company.map(|_| START),
        last_used_at: None,
    };
    for key in [key("key_1", Some(A), 1), key("key_2", None, 2)] {
        state.create_key(key).await.unwrap();
    }
    for retention in [Retention::Week, Retention::Month, Retention::Week] {
        let events = (0..700).map(|n| content("order.saved", &n.to_string())).collect();
        log.append(append(A, retention, events)).await.unwrap();
        log.append(append(B, retention, vec![content("order.saved", "x")])).await.unwrap();
    }
    moving.pass(9 * DAY_MS);
    for due in log.due(moving.now()).await.unwrap() {
        log.drop_segment(&due.name).await.unwrap();
    }
    log.append(append(A, Retention::Month, (0..5).map(|n| full_content(&format!("c-{n}"))).collect())).await.unwrap();

    for (of, id) in [(Some(A), "175"), (Some(B), "175"), (None, "x")] {
        state.put_document(of, "site", id, format!("{{\"id\":\"{id}\"}}"), Expected::New).await.unwrap();
    }
    for company in [Some(A), None] {
        let (actor, action, object) = ("key k".into(), "site.saved".into(), "site 175".into());
        let after = Some("{}".into());
        let entry = AuditEntry { company, at: START, actor, action, object, before: None, after };
        state.record(entry).await.unwrap();
    }
    limits::fill(stores).await;
    for resolution in Resolution::ALL {
        let counts = Counts { accepted: 5, delivered: 4, rejected: 3, expired: 2, failures: 1 };
        state
            .add_statistics(vec![Bucket { company: A, resolution, at: resolution.start(START), counts }])
            .await
            .unwrap();
    }
    let mut nos = Vec::new();
    for (company, id) in [(A, "erp"), (A, "web"), (A, "gone"), (B, "erp")] {
        let made = state.create_integration(company, settings(id, "s3cret"), 0, entry("created", moving.now())).await;
        nos.push(made.unwrap().no);
    }
    state.save_settings(A, settings("web", "an0ther"), Some(1), 3, entry("edited", moving.now())).await.unwrap();
    state.delete_integration(A, "gone").await.unwrap();
    let events = log.read(A, 2_100, ALL).await.unwrap();
    let event = |at: usize| events[at].clone();
    for (no, wrong) in [(nos[0], 3), (nos[3], 5)] {
        let attempt = |seq: u64, number: u32| Attempt {
            seq,
            at: Time::from_millis(moving.now().millis() - seq as i64 * 40_000_000),
            number,
            elapsed_ms: 12,
            status: (number != 2).then_some(503),
            remaining: 3,
            domain_key: Some(EntityKey::of("order", &seq.to_string())),
            name_hash: name_hash("order.saved"),
            failure: number.is_multiple_of(wrong).then(|| Failure {
                cause: "status".into(),
                detail: "answered 503".into(),
                answer: vec![0, 255, 10],
            }),
        };
        let park = |seq, event| Parked {
            seq,
            key: Some(EntityKey(-7)),
            accepted_at: START,
            attempts: 2,
            next_at: moving.now(),
            last_status: Some(503),
            last_error: Some("answered 503".into()),
            held: true,
            event,
        };
        let reject = |at: usize| Rejected {
            event: event(at),
            at: moving.now(),
            reason: "rejected".into(),
            last_status: Some(422),
            detail: None,
            attempts: 1,
        };
        let commit = LaneCommit {
            cursor: 2_101,
            settled: Ranges::from(vec![(2_103, 2_104)]),
            park: vec![park(2_101, None), park(7, Some(event(1)))],
            reject: vec![reject(2), reject(3)],
            attempts: (1..9).map(|n| attempt(n, n as u32)).collect(),
            add: Totals { delivered: 9, rejected: 2, expired: 1, failures: 4 },
            log: vec![entry("circuit_opened", moving.now())],
            ..LaneCommit::default()
        };
        state.commit(no, commit).await.unwrap();
    }
    let status = tillstream_model::integration::Status::Stopped;
    state.set_status(A, "web", status, entry("stopped", moving.now())).await.unwrap();
}

/// All that can be asked for.
async fn told(stores: &Stores) -> Vec<String> {
    let Stores { log, state, .. } = stores;
    let mut told = Vec::new();
    let mut tell = |what: &str, answer: &dyn Debug| told.push(format!("{what}: {answer:?}"));
    tell("companies", &state.companies().await.unwrap());
    for company in [None, Some(A), Some(B)] {
        tell("keys", &state.keys(company).await.unwrap());
        tell("documents", &state.documents(company, "site", "", 100).await.unwrap());
        tell("audit", &state.audit(company, &AuditFilter::default(), None, 100).await.unwrap());
    }
    limits::tell(stores, &mut tell).await;
    tell("a key", &state.key_by_hash(&[2; 32]).await.unwrap());
    for company in [A, B] {
        for resolution in Resolution::ALL {
            let from = resolution.start(START);
            let all = state.statistics(company, resolution, from, START + resolution.kept()).await.unwrap();
            tell("statistics", &all);
        }
        tell("lanes", &state.lane_summaries(company).await.unwrap());
        tell("ends", &(log.head(company).await.unwrap(), log.floor(company).await.unwrap()));
        let events = log.read(company, 0, ALL).await.unwrap();
        if let Some(last) = events.last() {
            tell("found", &log.find(company, last.id).await.unwrap());
            tell("before", &log.before(company, last.accepted_at).await.unwrap());
        }
        tell("events", &events);
        let integrations = state.integrations(company, None, 100).await.unwrap();
        tell("integrations", &integrations);
        for integration in &integrations {
            let no = integration.no;
            for seq in [0, 3, 4] {
                tell("settings", &state.settings_at(no, seq).await.unwrap());
            }
            tell("versions", &state.versions(no, None, 100).await.unwrap());
            tell("lane", &state.lane(no).await.unwrap());
            tell("figures", &state.lane_figures(no).await.unwrap());
            tell("rejected", &state.rejected(no, None, 100).await.unwrap());
            tell("entries", &state.log_entries(no, None, 100).await.unwrap());
            tell("attempts of one", &state.attempts_of(no, 3).await.unwrap());
        }
        for success in [None, Some(true), Some(false)] {
            let filter = AttemptFilter { success, ..AttemptFilter::default() };
            tell("attempts", &state.attempts(company, &filter, None, 100).await.unwrap());
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_the_same_after_a_move() {
    let moving = Move::prepare().await;
    let before = {
        let embedded = moving.embedded();
        fill(&embedded, &moving).await;
        told(&embedded).await
    };
    let moved = moving.run().await.unwrap();
    // Of company A's first 2,100 events those with a week's retention are dropped.
    assert_eq!(moved, Moved { companies: 2, integrations: 3, events: 706, attempts: 16 });

    let stores = postgres::open(moving.to(KEY)).await.unwrap();
    for (before, after) in before.iter().zip(told(&stores).await) {
        // PostgreSQL has no texts with U+0000 in them.
        let (before, after) = (before.replace("\\0", "\u{FFFD}"), after);
        let apart = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count().saturating_sub(200);
        let some = |text: &str| text.chars().skip(apart).take(400).collect::<String>();
        assert!(before == after, "before: …{}\nafter: …{}", some(&before), some(&after));
    }
    goes_on(&stores, &moving).await;
}

/// Positions, numbers and idempotency ids go on where they were.
async fn goes_on(stores: &Stores, moving: &Move) {
    let again = vec![full_content("c-0"), full_content("c-new")];
    let answers = stores.log.append(append(A, Retention::Month, again)).await.unwrap();
    assert!(matches!(answers[0], Appended::Duplicate { seq: 2_101, .. }), "{answers:?}");
    assert!(matches!(answers[1], Appended::New { seq: 2_106, .. }), "{answers:?}");
    let made = stores.state.create_integration(A, settings("new", "x"), 0, entry("created", moving.now())).await;
    assert_eq!(made.unwrap().no.0, 5, "the deleted one's number is not used again");
    assert_eq!(stores.state.create_company("c", "C", Retention::Week, vec![]).await.unwrap().no, CompanyNo(3));
    moving.pass(40 * DAY_MS);
    for due in stores.log.due(moving.now()).await.unwrap() {
        stores.log.drop_segment(&due.name).await.unwrap();
    }
    assert_eq!(stores.log.floor(A).await.unwrap(), 2_106, "segments that moved are dropped as others are");
    assert!(stores.log.read(A, 0, ALL).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epochs_of_a_restored_hub_move_with_it() {
    let moving = Move::prepare().await;
    fill(&moving.embedded(), &moving).await;
    let (file, place) = (moving.data().join("a.tar.zst"), moving.data().join("restored"));
    sqlite::backup(moving.data(), &file, &moving.clock(), &mut |_| ()).unwrap();
    let restored = sqlite::restore(&file, &place, &moving.from(), &mut |_| ()).unwrap();
    transfer::to_postgres(&place, moving.from(), moving.to(KEY), &mut |_| ()).await.unwrap();
    let epochs = postgres::open(moving.to(KEY)).await.unwrap().epochs;
    assert_eq!(epochs.current(), restored.epoch);
    assert_eq!(epochs.resolve(A, Position { epoch: 1, seq: 9_999 }), Some(2_105));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_is_not_opened_any_more_and_the_database_is_not_filled_twice() {
    let moving = Move::prepare().await;
    drop(moving.embedded());
    moving.run().await.unwrap();
    let refused = sqlite::open(moving.data(), moving.from()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("was moved to a database") && refused.contains("remove the file"), "{refused}");
    assert!(sqlite::open_state(moving.data(), moving.from()).is_err());

    drop(postgres::open(moving.to(KEY)).await.unwrap().state.create_company("a", "A", Retention::Week, vec![]).await);
    let refused = moving.run().await.unwrap_err();
    assert!(refused.contains("belongs to a hub already"), "{refused}");
    std::fs::remove_file(moving.data().join("moved")).unwrap();
    sqlite::open(moving.data(), moving.from()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_moved_is_refused_and_nothing_is_changed() {
    let moving = Move::prepare().await;
    let refused = moving.run().await.unwrap_err();
    assert!(refused.contains("no hub's data"), "{refused}");
    let open = moving.embedded();
    let refused = moving.run().await.unwrap_err();
    assert!(refused.contains("another process has it open"), "{refused}");
    drop(open);
    // Somebody opened the database with another key.
    drop(postgres::open(moving.to([8; 32])).await.unwrap());
    let refused = moving.run().await.unwrap_err();
    assert!(refused.contains("made with master key"), "{refused}");
    moving.embedded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_broke_off_is_begun_anew_and_no_hub_opens_what_is_half_there() {
    let moving = Move::prepare().await;
    let before = {
        let embedded = moving.embedded();
        fill(&embedded, &moving).await;
        told(&embedded).await
    };
    // Ended in the middle, as by Ctrl-C.
    let (reached, seen) = tokio::sync::oneshot::channel();
    let mut reached = Some(reached);
    let mut stop_here = |progress: transfer::Progress| {
        if progress.part.starts_with("attempts") {
            let _ = reached.take().map(|r| r.send(()));
        }
    };
    tokio::select! {
        biased;
        _ = seen => {}
        done = transfer::to_postgres(moving.data(), moving.from(), moving.to(KEY), &mut stop_here) => {
            panic!("it was not broken off: {done:?}")
        }
    }
    let refused = postgres::open(moving.to(KEY)).await.map(drop).unwrap_err().to_string();
    assert!(refused.contains("did not finish"), "{refused}");
    moving.run().await.unwrap();
    let after = told(&postgres::open(moving.to(KEY)).await.unwrap()).await;
    assert_eq!(after.len(), before.len());
    assert_eq!(after.last(), before.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_from_before_events_had_traces_moves_too() {
    let moving = Move::prepare().await;
    {
        let embedded = moving.embedded();
        embedded.state.create_company("a", "A", Retention::Month, vec![]).await.unwrap();
        embedded.log.append(append(A, Retention::Month, vec![full_content("c-1")])).await.unwrap();
        moving.pass(DAY_MS);
        embedded.log.append(append(A, Retention::Month, vec![full_content("c-2")])).await.unwrap();
    }
    let old = rusqlite::Connection::open(moving.data().join("log/30d/2026-11-21.db")).unwrap();
    old.execute_batch("ALTER TABLE events DROP COLUMN trace; PRAGMA user_version = 1").unwrap();
    drop(old);
    moving.run().await.unwrap();
    let stores = postgres::open(moving.to(KEY)).await.unwrap();
    let events = stores.log.read(A, 0, ALL).await.unwrap();
    assert_eq!(events.iter().map(|e| e.content.trace).collect::<Vec<_>>(), [None, full_content("").trace]);
}
