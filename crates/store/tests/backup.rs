//! A backup that is taken while a hub writes, and what is restored from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Content, Position, Ranges, Time};
use tillstream_store::sqlite::{self, Backed, Restored};
use tillstream_store::state::{LaneCommit, LogEntry, Totals};
use tillstream_store::suite::{START, content, settings};
use tillstream_store::transfer::Progress;
use tillstream_store::{Append, Appended, Clock, MasterKey, ReadLimit, Retention, Stores};

const A: CompanyNo = CompanyNo(1);
const B: CompanyNo = CompanyNo(2);
const KEY: [u8; 32] = *b"a master key of thirty-two bytes";
const ALL: ReadLimit = ReadLimit { events: 1_000_000, bytes: usize::MAX };

/// A folder for everything and a clock.
struct Place {
    folder: TempDir,
    now: Arc<AtomicI64>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicI64::new(START.millis())) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> sqlite::Options {
        self.options_with(KEY)
    }

    fn options_with(&self, key: [u8; 32]) -> sqlite::Options {
        let now = self.now.clone();
        let clock: Clock = Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)));
        sqlite::Options { min_free_bytes: 0, ..sqlite::Options::new(clock, MasterKey::new(key)) }
    }

    fn open(&self, name: &str) -> Stores {
        sqlite::open(&self.path(name), self.options()).unwrap()
    }

    fn pass(&self, days: i64) {
        self.now.fetch_add(days * DAY_MS, Ordering::AcqRel);
    }

    fn backup(&self, to: &str) -> Result<Backed, String> {
        let made = sqlite::backup(&self.path("data"), &self.path(to), &self.options().clock, &mut |_| ());
        made.map_err(|e| e.to_string())
    }

    fn restore(&self, from: &str, to: &str) -> Result<Restored, String> {
        let made = sqlite::restore(&self.path(from), &self.path(to), &self.options(), &mut |_| ());
        made.map_err(|e| e.to_string())
    }

    /// What is there beside the data folder.
    fn beside(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<String> = names.map(|n| n.into_string().unwrap()).filter(|n| n != "data").collect();
        names.sort();
        names
    }
}

fn numbered(n: u64) -> Content {
    Content { caller_id: Some(format!("c-{n}").into()), ..content("order.saved", &n.to_string()) }
}

fn append(company: CompanyNo, retention: Retention, events: Vec<Content>) -> Append {
    Append { company, retention, events }
}

async fn companies(stores: &Stores) {
    for id in ["a", "b"] {
        stores.state.create_company(id, id, Retention::Month, vec![]).await.unwrap();
    }
}

fn entry(at: Time) -> LogEntry {
    LogEntry { action: "created".into(), reason: String::new(), actor: "key k".into(), at }
}

fn seqs(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

async fn all_seqs(stores: &Stores, company: CompanyNo) -> Vec<u64> {
    stores.log.read(company, 0, ALL).await.unwrap().iter().map(|e| e.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_has_everything_accepted_before_it_and_cursors_behind_its_log() {
    let place = Place::new();
    let stores = place.open("data");
    companies(&stores).await;
    let made = stores.state.create_integration(A, settings("erp", "s3cret"), 0, entry(START)).await.unwrap();
    let filled: Vec<Content> = (1..=20_000).map(numbered).collect();
    for some in filled.chunks(1_000) {
        stores.log.append(append(A, Retention::Month, some.to_vec())).await.unwrap();
    }
    let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(20_000)));
    let load = {
        let (stores, stop, accepted) = (stores.clone(), stop.clone(), accepted.clone());
        async move {
            while !stop.load(Ordering::Acquire) {
                let n = accepted.load(Ordering::Acquire) + 1;
                // Classes change, so that seqs of both segments lie between each other.
                let class = if n % 3 == 0 { Retention::Week } else { Retention::Month };
                stores.log.append(append(A, class, vec![numbered(n)])).await.unwrap();
                let commit = LaneCommit {
                    cursor: n,
                    add: Totals { delivered: 1, ..Totals::default() },
                    ..LaneCommit::default()
                };
                stores.state.commit(made.no, commit).await.unwrap();
                accepted.store(n, Ordering::Release);
            }
        }
    };
    let backup = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = accepted.load(Ordering::Acquire);
        let (folder, to, clock) = (place.path("data"), place.path("a.tar.zst"), place.options().clock);
        let work = move || sqlite::backup(&folder, &to, &clock, &mut |_| ()).unwrap();
        let backed = tokio::task::spawn_blocking(work).await.unwrap();
        let after = accepted.load(Ordering::Acquire);
        stop.store(true, Ordering::Release);
        (before, after, backed)
    };
    let ((), (before, after, backed)) = tokio::join!(load, backup);
    assert!(after > before + 3, "the load went on meanwhile: {before} to {after}");
    assert!((before..=after + 1).contains(&backed.events), "{before} {} {after}", backed.events);

    let restored = place.restore("a.tar.zst", "other").unwrap();
    let other = place.open("other");
    let head = other.log.head(A).await.unwrap();
    assert!(head >= before && restored.ends == [(A, head), (B, 0)], "{head} {before} {restored:?}");
    assert_eq!(all_seqs(&other, A).await, seqs(1..=head));
    let cursor = other.state.lane(made.no).await.unwrap().cursor;
    assert!(cursor >= before && cursor <= head, "{before} {cursor} {head}");

    // What was accepted after the backup is unknown here: its ids are free, and its positions are given out anew.
    let again =
        other.log.append(append(A, Retention::Month, vec![numbered(before), numbered(head + 1)])).await.unwrap();
    assert!(matches!(again[0], Appended::Duplicate { seq, .. } if seq == before), "{again:?}");
    assert!(matches!(again[1], Appended::New { seq, .. } if seq == head + 1), "{again:?}");
    let (old, new) = (stores.epochs.position(head + 5), other.epochs.position(head + 1));
    assert_ne!(old.epoch, new.epoch);
    assert_eq!(other.epochs.resolve(A, old), Some(head), "an old position goes on where the backup ended");
    assert_eq!(other.epochs.resolve(A, Position { seq: 7, ..old }), Some(7));
    assert_eq!(stores.epochs.resolve(A, new), None, "the first life knows nothing of the second");
}

/// Days that are closed, listed and dropped, and ids in memory and in runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_dropped_and_remembered_is_the_same_after_a_restore() {
    let place = Place::new();
    let before = {
        let stores = place.open("data");
        companies(&stores).await;
        for n in 0..3 {
            for class in [Retention::Week, Retention::Month] {
                let events = (0..100).map(|k| numbered(1_000 * n + k + 500 * (class == Retention::Week) as u64));
                stores.log.append(append(A, class, events.collect())).await.unwrap();
                stores.log.append(append(B, class, vec![content("order.saved", "x")])).await.unwrap();
            }
            place.pass(5);
        }
        for due in stores.log.due((place.options().clock)()).await.unwrap() {
            stores.log.drop_segment(&due.name).await.unwrap();
        }
        let made = stores.state.create_integration(A, settings("erp", "s3cret"), 0, entry(START)).await.unwrap();
        let settled = Ranges::from(vec![(203, 204)]);
        let commit = LaneCommit { cursor: 201, settled, ..LaneCommit::default() };
        stores.state.commit(made.no, commit).await.unwrap();
        told(&stores).await
    };
    place.backup("a.tar.zst").unwrap();
    place.restore("a.tar.zst", "other").unwrap();
    let other = place.open("other");
    assert_eq!(told(&other).await, before);
    let again = other.log.append(append(A, Retention::Month, vec![numbered(2_001), numbered(9_999)])).await.unwrap();
    assert!(matches!(again[0], Appended::Duplicate { .. }), "{again:?}");
    assert!(matches!(again[1], Appended::New { seq: 601, .. }), "{again:?}");
    place.pass(60);
    for due in other.log.due((place.options().clock)()).await.unwrap() {
        other.log.drop_segment(&due.name).await.unwrap();
    }
    assert_eq!(other.log.floor(A).await.unwrap(), 601, "restored segments are dropped as others are");
}

async fn told(stores: &Stores) -> Vec<String> {
    let Stores { log, state, .. } = stores;
    let mut told = vec![format!("{:?}", state.companies().await.unwrap())];
    for company in [A, B] {
        let ends = (log.head(company).await.unwrap(), log.floor(company).await.unwrap());
        told.push(format!("{ends:?} {:?}", log.read(company, 0, ALL).await.unwrap()));
        for integration in state.integrations(company, None, 10).await.unwrap() {
            told.push(format!("{integration:?} {:?}", state.lane(integration.no).await.unwrap()));
        }
    }
    told
}

/// The hub drops what its time has passed also while it is backed up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_dropped_meanwhile_is_left_out_and_its_positions_are_not_used_again() {
    let place = Place::new();
    let stores = place.open("data");
    companies(&stores).await;
    stores.log.append(append(A, Retention::Week, (0..10).map(numbered).collect())).await.unwrap();
    place.pass(9);
    stores.log.append(append(A, Retention::Month, (10..13).map(numbered).collect())).await.unwrap();
    stores.log.append(append(B, Retention::Week, vec![content("order.saved", "x")])).await.unwrap();
    let due = stores.log.due((place.options().clock)()).await.unwrap().remove(0).name;
    let (folder, to, clock, log) = (place.path("data"), place.path("a.tar.zst"), place.options().clock, stores.log);
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let mut drop_it = |progress: Progress| {
            if progress.part == due {
                runtime.block_on(log.drop_segment(&due)).unwrap();
            }
        };
        sqlite::backup(&folder, &to, &clock, &mut drop_it).unwrap()
    };
    assert_eq!(tokio::task::spawn_blocking(work).await.unwrap().events, 4);
    place.restore("a.tar.zst", "other").unwrap();
    let other = place.open("other");
    assert_eq!((other.log.floor(A).await.unwrap(), other.log.head(A).await.unwrap()), (10, 13));
    assert_eq!(all_seqs(&other, A).await, seqs(11..=13));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_holds_neither_the_master_key_nor_an_open_secret() {
    let place = Place::new();
    let stores = place.open("data");
    companies(&stores).await;
    stores.state.create_integration(A, settings("erp", "s3cret"), 0, entry(START)).await.unwrap();
    place.backup("a.tar.zst").unwrap();
    let bytes = zstd::decode_all(std::fs::File::open(place.path("a.tar.zst")).unwrap()).unwrap();
    let hex: String = KEY.iter().map(|b| format!("{b:02x}")).collect();
    for secret in [&KEY[..], hex.as_bytes(), b"s3cret"] {
        assert!(!bytes.windows(secret.len()).any(|w| w == secret), "{}", String::from_utf8_lossy(secret));
    }
    assert!(bytes.windows(11).any(|w| w == b"backup.json"), "it is an archive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_backed_up_or_restored_is_refused_and_leaves_nothing() {
    let place = Place::new();
    assert!(place.backup("a.tar.zst").unwrap_err().contains("there is no hub's data in it"));
    let stores = place.open("data");
    companies(&stores).await;
    stores.log.append(append(A, Retention::Month, (0..50).map(numbered).collect())).await.unwrap();
    place.backup("a.tar.zst").unwrap();
    assert!(place.backup("a.tar.zst").unwrap_err().contains("exists already"));
    assert!(place.restore("a.tar.zst", "data").unwrap_err().contains("something in it already"));

    let wrong = sqlite::restore(&place.path("a.tar.zst"), &place.path("x"), &place.options_with([8; 32]), &mut |_| ());
    assert!(wrong.unwrap_err().to_string().contains("it was made with master key"));
    let whole = std::fs::read(place.path("a.tar.zst")).unwrap();
    for (name, bytes) in [("cut", &whole[..whole.len() / 2]), ("none", &b"not an archive"[..])] {
        std::fs::write(place.path(name), bytes).unwrap();
        place.restore(name, "x").unwrap_err();
    }
    assert_eq!(place.beside(), ["a.tar.zst", "cut", "none"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.restore("a.tar.zst", "empty").unwrap();
    assert_eq!(place.open("empty").log.head(A).await.unwrap(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_restores_of_one_backup_and_a_restore_of_a_restore_are_all_different_lives() {
    let place = Place::new();
    let stores = place.open("data");
    companies(&stores).await;
    stores.log.append(append(A, Retention::Month, (0..3).map(numbered).collect())).await.unwrap();
    place.backup("a.tar.zst").unwrap();
    let restore = |from: &Path, to: &str| {
        place.now.fetch_add(1_000, Ordering::AcqRel);
        sqlite::restore(from, &place.path(to), &place.options(), &mut |_| ()).unwrap().epoch
    };
    let (one, two) = (restore(&place.path("a.tar.zst"), "one"), restore(&place.path("a.tar.zst"), "two"));
    let second = place.open("two");
    second.log.append(append(A, Retention::Month, (3..9).map(numbered).collect())).await.unwrap();
    let clock = place.options().clock;
    sqlite::backup(&place.path("two"), &place.path("b.tar.zst"), &clock, &mut |_| ()).unwrap();
    let three = restore(&place.path("b.tar.zst"), "three");
    assert!(1 < one && one < two && two < three, "{one} {two} {three}");
    let third = place.open("three");
    let resolve = |epoch, seq| third.epochs.resolve(A, Position { epoch, seq });
    assert_eq!(
        (resolve(1, 99), resolve(two, 99), resolve(three, 99), resolve(one, 2)),
        (Some(3), Some(9), Some(99), None)
    );
}
