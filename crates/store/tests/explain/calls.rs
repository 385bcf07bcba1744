//! Every call that lists or looks something up, with first pages and later ones, each filter, and things that are there
//! and not.

use std::time::Duration;

use tillstream_model::event::EntityKey;
use tillstream_model::lookup::LookupKey;
use tillstream_model::{CompanyNo, EventId, IntegrationNo};
use tillstream_store::answers::{Begin, Begun};
use tillstream_store::held::{HeldLimits, Holding};
use tillstream_store::state::{
    AttemptFilter, AuditFilter, Bucket, Counts, Expected, LaneCommit, LogEntry, News, Resolution, Stretch,
};
use tillstream_store::suite::START;
use tillstream_store::{Append, Appended, ReadLimit, Retention, StoreError, Stores};

use crate::Meter;
use crate::fill::*;

/// Sizes of pages. Of much larger ones the server rightly finds that it is quicker to read all of these tables.
const PAGES: [u64; 3] = [1, 50, 200];

/// Tables with a column that names the company.
const PURGED_TABLES: u64 = 8;

/// Everything that lists or looks something up.
pub async fn run_all(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    companies_and_keys(meter, filled, stores).await;
    integrations(meter, filled, stores).await;
    for page in PAGES {
        paged(meter, filled, stores, page).await;
        attempts(meter, filled, stores, page).await;
    }
    single(meter, filled, stores).await;
    log(meter, filled, stores).await;
    index(meter, filled, stores).await;
    changing(meter, filled, stores).await;
    limits(meter, filled, stores).await;
}

/// What hangs on limits.
async fn limits(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let (state, of, today) = (&*stores.state, filled.big, START.day());
    for days in [1, 50, USED_DAYS] {
        let found = meter.run("usage", days, state.usage(of, today - days as i64, today)).await;
        assert!(found.is_none_or(|found| found.len() as u64 == days));
    }
    for page in PAGES {
        for after in ["", "5"] {
            meter.run("held_sites", page, state.held_sites(of, after, page as usize)).await;
        }
        let found = meter
            .run("held", page, state.held(of, "7", 500, ReadLimit { events: page as usize, bytes: usize::MAX }))
            .await;
        assert!(found.is_none_or(|found| !found.is_empty()));
    }
    meter.run("held_site", 1, state.held_site(of, "7")).await;
    let room = HeldLimits { events: u64::MAX, bytes: u64::MAX, sites: u64::MAX };
    let held = meter.run("hold", 1, state.hold(of, vec![held_content()], START, room)).await;
    assert!(held.is_none_or(|held| held == [Holding::Duplicate]));
    for ids in [1, 20] {
        meter.run("unhold", ids, state.unhold(of, "7", (1..=ids).map(|n| 10 * HELD + n).collect())).await;
    }
    for most in [1, 1_000] {
        let asked = |id: &str| {
            let (id, now) = (id.to_owned(), filled.day(400));
            Begin { of: Some(of), id, fingerprint: [1; 16], now, most: most as usize }
        };
        let begun = meter.run("begin_answer", most, state.begin_answer(asked("new"))).await;
        assert!(begun.is_none_or(|begun| begun == Begun::Full));
        meter.run("begin_answer", most, state.begin_answer(asked("000007"))).await;
    }
    meter.run("keep_answer", 1, state.keep_answer(Some(of), "none", "")).await;
    meter.run("forget_answer", 1, state.forget_answer(Some(of), "000007")).await;
}

async fn companies_and_keys(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let state = &*stores.state;
    meter.run("companies", 0, state.companies()).await;
    meter.run("leaving", 0, state.leaving()).await;
    for (company, keys) in [(Some(filled.big), KEYS), (Some(filled.small), FEW_KEYS), (None, FEW_KEYS)] {
        let found = meter.run("keys", keys, state.keys(company)).await;
        assert!(found.is_none_or(|found| found.len() as u64 == keys));
    }
    assert!(meter.run("key_by_hash", 1, state.key_by_hash(&[1; 32])).await.is_none_or(|key| key.is_none()));
}

async fn integrations(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let state = &*stores.state;
    meter.run("lane_heads", 0, state.lane_heads()).await;
    for (no, parked) in [(filled.first, PARKED_OF_FIRST + 1), (filled.of_small, 1)] {
        let lane = meter.run("lane", parked, state.lane(no)).await;
        assert!(lane.is_none_or(|lane| lane.parked.len() as u64 == parked));
        meter.run("lane_figures", parked, state.lane_figures(no)).await;
    }
    meter.run("lane_summaries", 0, state.lane_summaries(filled.big)).await;
    for (seq, later_versions) in [(EVENTS, 0), (VERSIONS / 2, VERSIONS / 2), (1, VERSIONS - 1)] {
        let found = meter.run("settings_at", later_versions, state.settings_at(filled.first, seq)).await;
        assert!(found.is_none_or(|found| u64::from(found.unwrap().0) + later_versions == VERSIONS));
    }
    for page in PAGES {
        for after in [None, Some("quiet-1500"), Some("z")] {
            let listing = state.integrations(filled.big, after, page as usize);
            let found = meter.run("integrations", page, listing).await;
            assert!(found.is_none_or(|found| found.len() as u64 == if after == Some("z") { 0 } else { page }));
        }
        meter.run("integrations", 1, state.integrations(filled.small, None, page as usize)).await;
        let to = START + Duration::from_secs(page * 3_600);
        let found = meter.run("statistics", page, state.statistics(filled.big, Resolution::Hour, START, to)).await;
        assert!(found.is_none_or(|found| found.len() as u64 == page));
        for after in [None, Some("150")] {
            meter.run("versions", page, state.versions(filled.first, after, page as usize)).await;
        }
    }
}

/// The first page, the next one and one in the middle, of an integration with much and of one with little.
async fn paged(meter: &mut Meter, filled: &Filled, stores: &Stores, page: u64) {
    let state = &*stores.state;
    let limit = page as usize;
    let mut after = None;
    for _ in 0..3 {
        let found = meter.run("rejected", page, state.rejected(filled.first, after.as_deref(), limit)).await;
        assert!(found.as_ref().is_none_or(|found| found.items.len() == limit));
        after = found.and_then(|found| found.next);
    }
    meter.run("rejected", 1, state.rejected(filled.of_small, None, limit)).await;
    let mut after = None;
    for _ in 0..3 {
        let found = meter.run("log_entries", page, state.log_entries(filled.first, after.as_deref(), limit)).await;
        after = found.and_then(|found| found.next);
    }
    meter.run("log_entries", 2, state.log_entries(filled.of_small, None, limit)).await;
    for after in ["", "005000"] {
        let found = meter.run("documents", page, state.documents(Some(filled.big), "site", after, limit)).await;
        assert!(found.is_none_or(|found| found.len() == limit));
    }
    let news = meter.run("untold", page, state.untold(limit)).await;
    assert!(news.is_none_or(|news| news.len() == 2 * limit));
    for (call, object) in [("audit", None), ("audit of one", Some("site 3".to_owned()))] {
        let filter = AuditFilter { object, ..AuditFilter::default() };
        let mut after = None;
        for _ in 0..3 {
            let listing = state.audit(Some(filled.big), &filter, after.as_deref(), limit);
            after = meter.run(call, page, listing).await.and_then(|found| found.next);
        }
    }
}

async fn attempts(meter: &mut Meter, filled: &Filled, stores: &Stores, page: u64) {
    let all = AttemptFilter::default;
    let (from, to) = (Some(filled.day(0)), Some(filled.day(1)));
    let one = || AttemptFilter { integrations: vec![filled.first], ..all() };
    let (big, vast) = (filled.big, filled.vast);
    let (rare, common) = (Some(EntityKey(RARE_KEY)), Some(EntityKey(7)));
    let cases = [
        ("attempts of one", big, one()),
        ("attempts of one", big, AttemptFilter { success: Some(false), ..one() }),
        ("attempts of one", big, AttemptFilter { from, to, ..one() }),
        ("attempts of one", filled.small, all()),
        ("attempts of one", vast, all()),
        ("attempts of some", big, AttemptFilter { integrations: filled.busy.clone(), ..all() }),
        ("attempts of some", big, AttemptFilter { integrations: filled.busy.clone(), from, to, ..all() }),
        ("attempts of all", big, all()),
        ("attempts of all", big, AttemptFilter { from, to, ..all() }),
        ("failed attempts of all", big, AttemptFilter { success: Some(false), ..all() }),
        ("attempts by looking", big, AttemptFilter { success: Some(true), ..all() }),
        ("attempts by looking", big, AttemptFilter { name_hash: Some(3), ..one() }),
        ("attempts by looking", vast, AttemptFilter { domain_key: common, ..all() }),
        ("attempts by looking", vast, AttemptFilter { domain_key: rare, ..all() }),
        ("attempts by looking", big, AttemptFilter { domain_key: rare, success: Some(false), ..all() }),
    ];
    for (call, company, filter) in cases {
        let mut after = None;
        for _ in 0..2 {
            let listing = stores.state.attempts(company, &filter, after.as_deref(), page as usize);
            after = meter.run(call, page, listing).await.and_then(|found| found.next);
            if after.is_none() {
                break;
            }
        }
    }
}

async fn single(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let state = &*stores.state;
    let unknown = EventId::new(START, [0; 10]);
    assert!(meter.run("integration", 1, state.integration(filled.big, "quiet-2000")).await.is_none_or(|i| i.is_some()));
    for (no, seq, found) in [(filled.first, 1, DAYS), (filled.first, EVENTS * 2, 0), (filled.of_vast, 1, 1)] {
        let listed = meter.run("attempts_of", found, state.attempts_of(no, seq)).await;
        assert!(listed.is_none_or(|listed| listed.len() as u64 == found));
        meter.run("parked_of", 1, state.parked_of(no, seq)).await;
    }
    for (no, first, events) in [(filled.first, 1, 100), (filled.first, EVENTS - 1_000, 1_000), (filled.of_vast, 1, 1)] {
        let last = first + events - 1;
        let stretch = Stretch { first, last, lowest: filled.event, highest: filled.event };
        meter.run("outcomes", events, state.outcomes(no, stretch)).await;
    }
    for id in [filled.event, unknown] {
        meter.run("rejected_of", 1, state.rejected_of(filled.first, id)).await;
    }
    meter.run("replay", 1, state.replay(filled.first)).await;
    for page in PAGES {
        let seqs: Vec<u64> = (1..=page).collect();
        meter.run("delivered_among", page, state.delivered_among(filled.first, filled.day(0), &seqs)).await;
        meter.run("parked_among", page, state.parked_among(filled.first, &seqs)).await;
        let ids: Vec<EventId> = (0..page).map(|n| EventId::new(START, [n as u8; 10])).collect();
        meter.run("rejected_among", page, state.rejected_among(filled.first, &ids)).await;
    }
}

async fn log(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let log = &*stores.log;
    for page in PAGES {
        let limit = ReadLimit { events: page as usize, bytes: usize::MAX };
        for after in [0, EVENTS / 3 - 10, EVENTS / 2, EVENTS - page] {
            let read = meter.run("read", page, log.read(filled.big, after, limit)).await;
            assert!(read.is_none_or(|read| read.len() as u64 == page));
        }
        let seqs: Vec<u64> = (1..=page).map(|n| n * EVENTS / page).collect();
        let got = meter.run("get", page, log.get(filled.big, &seqs)).await;
        assert!(got.is_none_or(|got| got.len() as u64 == page));
    }
    // The server adds sizes up, so that it sends little; it reads as many events as one statement may give.
    let little = ReadLimit { events: 5_000, bytes: 1 };
    meter.run("read", 1_000, log.read(filled.big, 0, little)).await;
    let found = meter.run("find", 1, log.find(filled.big, filled.event)).await;
    assert!(found.is_none_or(|found| found.is_some()));
    meter.run("find", 1, log.find(filled.big, EventId::new(filled.day(0), [0; 10]))).await;
    for time in [filled.event.time(), filled.day(0), filled.day(9)] {
        meter.run("before", 1, log.before(filled.big, time)).await;
    }
    for company in [filled.big, filled.small, CompanyNo(999)] {
        meter.run("head", 1, log.head(company)).await;
        meter.run("floor", 1, log.floor(company)).await;
    }
    meter.run("due", STRETCHES, log.due(filled.day(0))).await;
    let due = meter.run("due", STRETCHES, log.due(filled.day(9))).await;
    assert!(due.is_none_or(|due| due.len() == 1));
}

async fn index(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let index = &*stores.index;
    for (company, key, after, found) in [
        (filled.big, 7, 0, RUN_EVENTS / RUN_KEYS * RUNS),
        (filled.big, 7, RUN_EVENTS * (RUNS - 1), RUN_EVENTS / RUN_KEYS),
        (filled.big, -1, 0, 0),
        (filled.small, 7, 0, 0),
    ] {
        let positions = index.positions(company, LookupKey(key), after, usize::MAX);
        let seen = meter.run("positions", RUNS, positions).await;
        assert!(seen.is_none_or(|seen| seen.len() as u64 == found), "{key} after {after}");
    }
    let reached = meter.run("reached", 1, index.reached(filled.big, 0)).await;
    assert!(reached.is_none_or(|reached| reached == RUN_EVENTS * RUNS));
}

async fn changing(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let state = &*stores.state;
    for events in [1, 20] {
        let repeated = (0..events).map(|n| repeatable(EVENTS - 1 - n)).collect();
        let append = Append { company: filled.big, retention: Retention::Month, events: repeated };
        let told = meter.run("append", events, stores.log.append(append)).await;
        assert!(told.is_none_or(|told| told.iter().all(|told| matches!(told, Appended::Duplicate { .. }))));
    }
    let unknown = IntegrationNo(INTEGRATIONS + 100);
    meter.run("commit", 1, state.commit(unknown, LaneCommit::default())).await;
    meter.run("retry_rejected", 1, state.retry_rejected(filled.first, u64::MAX, START)).await;
    meter.run("delete_rejected", 1, state.delete_rejected(filled.first, u64::MAX)).await;
    meter.run("erase", 1, state.erase(filled.small, EVENTS * 2, EventId::new(START, [0; 10]))).await;
    meter.run("erase event", 1, stores.log.erase(filled.small, EVENTS * 2, filled.event)).await;
    meter.run("delete_key", 1, state.delete_key(Some(filled.small), "key-1")).await;
    meter.run("touch_keys", 2, state.touch_keys(vec![("a".into(), START), ("b".into(), START)])).await;
    let entry = LogEntry { action: "stopped".into(), reason: "so".into(), actor: "system".into(), at: START };
    let unknown = News::Entry { row: i64::MAX, company: filled.big, no: unknown, id: "erp".into(), entry };
    meter.run("told", 1, state.told(&[unknown])).await;
    let of = Some(filled.big);
    meter.run("document", 1, state.document(of, "site", "000002")).await;
    let stale = state.put_document(of, "site", "000002", "{}".into(), Expected::Version(9));
    assert!(
        meter
            .run("put_document", 1, async { Ok::<_, StoreError>(stale.await.is_err()) })
            .await
            .is_none_or(|refused| refused)
    );
    meter.run("delete_document", 1, state.delete_document(of, "site", "none")).await;
    let no_counts = Bucket { company: filled.big, resolution: Resolution::Hour, at: START, counts: Counts::default() };
    meter.run("add_statistics", 1, state.add_statistics(vec![no_counts])).await;
    meter.run("sweep", 1, state.sweep(filled.day(DAYS - 1))).await;
    deleting(meter, filled, stores).await;
}

/// What a slice looks at that removes nothing, however much others have.
async fn deleting(meter: &mut Meter, filled: &Filled, stores: &Stores) {
    let hidden = meter.run("hide_company", 1, stores.state.hide_company(filled.going, "job_2")).await;
    assert!(hidden.is_none_or(|job| job.as_deref() == Some("job_1")));
    let purged = meter.run("purge_state", PURGED_TABLES, stores.state.purge_state(filled.going)).await;
    assert!(purged.is_none_or(|purged| purged.done && purged.rows == 0));
    let purged = meter.run("purge", 1, stores.log.purge(filled.going)).await;
    assert!(purged.is_none_or(|purged| purged.done && purged.rows == 0));
    meter.run("purge of the index", RUNS, stores.index.purge(filled.going)).await;
}
