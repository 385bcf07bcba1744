//! A database in which a walk through a table shows: one company is big, its neighbours are small or have one big thing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tillstream_model::integration::{HttpTarget, PerSite, Settings, Target};
use tillstream_model::lookup::LookupKey;
use tillstream_model::time::DAY_MS;
use tillstream_model::{CompanyNo, Content, EventId, IntegrationNo, Time};
use tillstream_store::held::HeldLimits;
use tillstream_store::index::Entry;
use tillstream_store::postgres::{self, Options};
use tillstream_store::state::{Attempt, LaneCommit, LogEntry, Parked, Rejected};
use tillstream_store::suite::{START, content, settings};
use tillstream_store::{Append, Appended, MasterKey, ReadLimit, Retention, State, Stores};

use crate::server::{run, server, url};

/// Events of the big company, in three stretches on two days.
pub const EVENTS: u64 = 20_000;
/// Events that are appended together, and so share their moment.
pub const MOMENT: u64 = 250;
/// Stretches of the big company.
pub const STRETCHES: u64 = 3;
/// Other companies with a log.
pub const LOGS: u64 = 1_000;
/// Integrations of the big company with many attempts …
pub const BUSY: u64 = 20;
/// … and with few.
pub const QUIET: u64 = 3_000;
/// Integrations of all companies.
pub const INTEGRATIONS: u64 = BUSY + QUIET + 2;
/// Versions of the first integration's settings; version `n + 1` counts for positions after `n`.
pub const VERSIONS: u64 = 200;
/// Attempts of all busy integrations together, over three days; every 97th failed.
pub const ATTEMPTS: u64 = 20_000;
/// Days on which there are attempts.
pub const DAYS: u64 = 3;
/// Attempts of each quiet integration, on the last day.
pub const QUIET_ATTEMPTS: u64 = 20;
/// Attempts of the vast company's only integration, on the last day: more than a page looks at.
pub const VAST_ATTEMPTS: u64 = 250_000;
/// The entity that only the first attempt of a day is about.
pub const RARE_KEY: i64 = 777;
/// Rejected events, half of them the first integration's.
pub const REJECTED: u64 = 20_000;
/// Log entries. The oldest are the first integration's, so that there are many newer ones of others.
pub const ENTRIES: u64 = 5_000;
/// Log entries of the first integration.
pub const ENTRIES_OF_FIRST: u64 = ENTRIES / 2;
/// Events that wait.
pub const PARKED: u64 = 20_000;
/// Events of the first integration that wait.
pub const PARKED_OF_FIRST: u64 = 2_000;
/// Documents of two kinds, half of them the big company's.
pub const DOCUMENTS: u64 = 20_000;
/// Entries of the audit, the older half of them the big company's.
pub const AUDITED: u64 = 20_000;
/// Hours in which things were counted, of the big company and of each of a hundred others.
pub const HOURS: u64 = 500;
/// Keys of the big company.
pub const KEYS: u64 = 2_000;
/// Keys of the small company, and as many of operators. The others are of companies that are not there.
pub const FEW_KEYS: u64 = 10;
/// Keys of all.
pub const ALL_KEYS: u64 = 20_000;
/// Days of the big company with something used, and of others.
pub const USED_DAYS: u64 = 390;
/// Names of answers of the big company, and as many of others.
pub const ANSWERS: u64 = 5_000;
/// Sites of the big company with held events …
pub const HELD_SITES: u64 = 100;
/// … and held events, half of them the big company's.
pub const HELD: u64 = 20_000;
/// Companies, one of which is being deleted.
pub const COMPANIES: u64 = 4;

/// What was filled.
pub struct Filled {
    /// The database's address.
    pub url: String,
    /// The company with the integrations.
    pub big: CompanyNo,
    /// A company with one integration, whose only thing of each kind it is.
    pub small: CompanyNo,
    /// A company with one integration that has many attempts.
    pub vast: CompanyNo,
    /// A company that is being deleted, of which nothing is left.
    pub going: CompanyNo,
    /// The big company's busy integrations.
    pub busy: Vec<IntegrationNo>,
    /// The first of them.
    pub first: IntegrationNo,
    /// The small company's integration.
    pub of_small: IntegrationNo,
    /// The vast company's.
    pub of_vast: IntegrationNo,
    /// An event in the middle of the big company's log.
    pub event: EventId,
    now: Arc<AtomicI64>,
}

impl Filled {
    /// Makes a database and fills it.
    pub async fn make() -> Self {
        let url = make_database().await;
        let now = Arc::new(AtomicI64::new(START.millis()));
        let stores = open(url.clone(), now.clone()).await;
        let state = &*stores.state;
        let mut companies = Vec::new();
        for id in ["big", "small", "vast", "going"] {
            companies.push(state.create_company(id, id, Retention::Month, vec![]).await.unwrap().no);
        }
        let [big, small, vast, going] = companies[..] else { unreachable!("four were made") };
        state.hide_company(going, "job_1").await.unwrap();
        stores.log.close(going).await.unwrap();
        let mut busy = Vec::new();
        for n in 0..BUSY {
            busy.push(create(state, big, &format!("busy-{n:02}")).await);
        }
        let (first, of_small) = (busy[0], create(state, small, "only").await);
        let of_vast = create(state, vast, "only").await;
        let event = append(&stores, &now, big, small).await;
        index(&stores, big).await;
        commit_samples(&stores, big, first, of_small).await;
        run(&url, &copies(big, small, first, of_vast)).await.unwrap();
        hold_sample(&stores, big).await;
        run(&url, &limits(big)).await.unwrap();
        Self { url, big, small, vast, going, busy, first, of_small, of_vast, event, now }
    }

    /// Opens the engine anew: nothing is in memory.
    pub async fn open(&self, end_of_url: &str) -> Stores {
        open(format!("{}{end_of_url}", self.url), self.now.clone()).await
    }

    /// A day on which there are attempts.
    pub fn day(&self, n: u64) -> Time {
        Time::from_millis((START.day() + n as i64) * DAY_MS)
    }
}

async fn open(url: String, now: Arc<AtomicI64>) -> Stores {
    let clock = Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)));
    let options = Options::new(url, "test".into(), clock, MasterKey::new([7; 32]));
    postgres::open(Options { tail_bytes: 0, ..options }).await.unwrap()
}

async fn make_database() -> String {
    let name = format!("t_{:016x}", rand::random::<u64>());
    run(&server(), &format!("CREATE DATABASE {name}")).await.unwrap();
    url(&name)
}

async fn create(state: &dyn State, company: CompanyNo, id: &str) -> IntegrationNo {
    state.create_integration(company, bare(id), 0, entry()).await.unwrap().no
}

/// Settings without secrets, which would open for one integration only.
fn bare(id: &str) -> Settings {
    let url = format!("https://{id}.example/hook");
    let target = Target::Http(HttpTarget {
        url,
        authorization: PerSite::all(None).into(),
        oauth2: None,
        headers: BTreeMap::new(),
    });
    let mut settings = Settings { target, ..settings(id, "") };
    settings.signing.secrets.clear();
    settings
}

fn entry() -> LogEntry {
    LogEntry { action: "created".into(), reason: "a test".into(), actor: "system".into(), at: START }
}

/// Gives the id of the event in the middle.
async fn append(stores: &Stores, now: &AtomicI64, big: CompanyNo, small: CompanyNo) -> EventId {
    let mut middle = None;
    for n in 0..EVENTS / MOMENT {
        let (day, retention) = match n * MOMENT * 3 / EVENTS {
            0 => (0, Retention::Month),
            1 => (0, Retention::Week),
            _ => (1, Retention::Month),
        };
        let at = START + Duration::from_secs(day * 86_400 + n);
        now.store(at.millis(), Ordering::Release);
        let events = (n * MOMENT..(n + 1) * MOMENT).map(repeatable).collect();
        let done = stores.log.append(Append { company: big, retention, events }).await.unwrap();
        if let Appended::New { seq, id } = done[MOMENT as usize / 2]
            && seq > EVENTS / 2
        {
            middle = middle.or(Some(id));
        }
        if n % 20 == 0 {
            let events = vec![content("order.saved", "x")];
            stores.log.append(Append { company: small, retention: Retention::Month, events }).await.unwrap();
        }
    }
    middle.unwrap()
}

/// Runs of the index of one day, each with many keys.
pub const RUNS: u64 = 40;
/// Events of a run.
pub const RUN_EVENTS: u64 = 1_000;
/// Keys that come again in every run.
pub const RUN_KEYS: u64 = 50;

async fn index(stores: &Stores, company: CompanyNo) {
    for run in 0..RUNS {
        let entry = |seq: u64| Entry {
            company,
            seq,
            accepted_at: START,
            keys: vec![LookupKey((seq % RUN_KEYS) as i64), LookupKey(1_000_000 + seq as i64)],
        };
        let entries = (run * RUN_EVENTS + 1..=(run + 1) * RUN_EVENTS).map(entry).collect();
        stores.index.add(entries).await.unwrap();
    }
}

/// The event that is appended as the big company's n-th, with an idempotency id.
pub fn repeatable(n: u64) -> Content {
    Content { caller_id: Some(format!("c-{n}").into()), ..content("order.saved", &n.to_string()) }
}

/// One of each thing, to be copied, and the tables of the days.
async fn commit_samples(stores: &Stores, company: CompanyNo, first: IntegrationNo, of_small: IntegrationNo) {
    let event = stores.log.read(company, 0, ReadLimit { events: 1, bytes: 1 }).await.unwrap().remove(0);
    let attempts = (0..DAYS).map(|day| Attempt {
        seq: 1,
        at: START + Duration::from_secs(day * 86_400),
        number: 1,
        elapsed_ms: 12,
        status: Some(200),
        remaining: 3,
        domain_key: None,
        name_hash: 0,
        failure: None,
    });
    let attempts: Vec<_> = attempts.collect();
    for no in [first, of_small] {
        let reject = Rejected {
            event: event.clone(),
            at: START,
            reason: "rejected".into(),
            last_status: Some(500),
            detail: None,
            attempts: 8,
        };
        let park = Parked {
            seq: 1,
            key: None,
            accepted_at: START,
            attempts: 2,
            next_at: START,
            last_status: None,
            last_error: None,
            held: false,
            event: Some(event.clone()),
        };
        let (attempts, reject, park) = (attempts.clone(), vec![reject], vec![park]);
        let commit = LaneCommit { attempts, reject, park, log: vec![entry()], ..LaneCommit::default() };
        stores.state.commit(no, commit).await.unwrap();
    }
}

/// The event that is held first, with an idempotency id.
pub fn held_content() -> Content {
    Content { site: Some("0".into()), ..repeatable(0) }
}

async fn hold_sample(stores: &Stores, company: CompanyNo) {
    let limits = HeldLimits { events: 1, bytes: 1 << 30, sites: 1 };
    stores.state.hold(company, vec![held_content()], START, limits).await.unwrap();
}

/// What hangs on limits. Nothing of it is due, so that a sweep finds out by looking.
fn limits(big: CompanyNo) -> String {
    let (big, start, today) = (big.0, START.millis(), START.day());
    format!(
        "INSERT INTO usage SELECT c, {today} - n, 30, 1, 1, 1, 1, 1, 1
             FROM generate_series(1, {USED_DAYS}) n, (SELECT {big} AS c UNION SELECT generate_series(1001, 1050)) c;
         INSERT INTO answers SELECT CASE WHEN n <= {ANSWERS} THEN {big} ELSE 1000 + n % 100 END, lpad(n::text, 6, '0'),
             {start} + 400 * 86400000::bigint, '', NULLIF(n, 7)::text FROM generate_series(1, 2 * {ANSWERS}) n;
         INSERT INTO held (company, site, at, size, hash, fingerprint, event)
             SELECT CASE WHEN n <= {HELD} / 2 THEN {big} ELSE 1000 + n % 100 END, (n % {HELD_SITES})::text, h.at, h.size,
             sha256(n::text::bytea), h.fingerprint, h.event FROM held h, generate_series(1, {HELD}) n ORDER BY n;
         INSERT INTO held_sites SELECT 1000 + n % 100, n::text, 1, 1, 0, 0 FROM generate_series(1, {HELD}) n;
         INSERT INTO held_sites SELECT {big}, n::text, 1, 1, 0, 0 FROM generate_series(1, {HELD_SITES} - 1) n;"
    )
}

/// Copies of the samples, and what needs none.
fn copies(big: CompanyNo, small: CompanyNo, first: IntegrationNo, of_vast: IntegrationNo) -> String {
    let (big, small, first, of_vast) = (big.0, small.0, first.0, of_vast.0);
    let whose = |most: u64| {
        format!("CASE WHEN n <= {most} THEN {first} ELSE (SELECT no FROM nos WHERE row = 1 + n % {QUIET}) END")
    };
    let start = START.millis();
    let mut sql = format!(
        "INSERT INTO integrations (company, id, running, version, created_at, updated_at)
             SELECT {big}, 'quiet-' || lpad(n::text, 4, '0'), true, 1, 0, 0 FROM generate_series(1, {QUIET}) n;
         INSERT INTO versions SELECT i.no, 1, 0, replace(v.settings, 'busy-00', i.id), 0, 'system'
             FROM integrations i, versions v WHERE v.integration = {first} AND i.id LIKE 'quiet-%';
         INSERT INTO versions SELECT integration, 1 + n, n, settings, n, actor
             FROM versions, generate_series(1, {VERSIONS} - 1) n WHERE integration = {first};
         UPDATE integrations SET version = {VERSIONS} WHERE no = {first};
         INSERT INTO lanes SELECT no, 0, '' FROM integrations WHERE id LIKE 'quiet-%';
         CREATE TEMP TABLE nos AS
             SELECT no, row_number() OVER (ORDER BY no) - 1 AS row FROM integrations WHERE company = {big};
         CREATE INDEX ON nos (row);
         INSERT INTO rejected (integration, event_id, at, reason, attempts, event)
             SELECT {}, decode(lpad(to_hex(n), 32, '0'), 'hex'), r.at + n, r.reason, 1, r.event
             FROM rejected r, generate_series(1, {REJECTED}) n WHERE r.integration = {first};
         INSERT INTO entries (integration, action, reason, actor, at)
             SELECT {}, e.action, e.reason, e.actor, e.at + n
             FROM (SELECT * FROM entries ORDER BY id LIMIT 1) e, generate_series(1, {ENTRIES}) n ORDER BY n;
         INSERT INTO parked SELECT {}, 1 + n, NULL, p.accepted_at, 1, p.next_at, NULL, NULL, p.event
             FROM parked p, generate_series(1, {PARKED}) n WHERE p.integration = {first} ORDER BY 1, 2;
         INSERT INTO keys SELECT 'key-' || n, CASE WHEN n <= {KEYS} THEN {big} WHEN n <= {KEYS} + {FEW_KEYS} THEN {small}
             WHEN n > {KEYS} + 2 * {FEW_KEYS} THEN 1000 + n % 100 END,
             'copied', '[]', sha256(n::text::bytea), n, NULL, NULL FROM generate_series(1, {ALL_KEYS}) n;
         INSERT INTO documents SELECT CASE WHEN n <= {DOCUMENTS} / 2 THEN {big} ELSE 1000 + n % 100 END,
             CASE WHEN n % 2 = 0 THEN 'site' ELSE 'user' END, lpad(n::text, 6, '0'), '{{}}', 1, 0, 0
             FROM generate_series(1, {DOCUMENTS}) n;
         INSERT INTO audit (company, at, actor, action, object)
             SELECT CASE WHEN n <= {AUDITED} / 2 THEN {big} ELSE 1000 + n % 100 END, {start} + n, 'system', 'site.saved',
             'site ' || n % 5 FROM generate_series(1, {AUDITED}) n ORDER BY n;
         INSERT INTO statistics SELECT c, 3600, {start} + n * 3600000, n, n, 0, 0, 0
             FROM generate_series(0, {HOURS}) n, (SELECT {big} UNION ALL SELECT generate_series(1000, 1099)) f (c);
         UPDATE entries SET untold = true WHERE id % 10 = 0;
         UPDATE audit SET untold = true WHERE id % 40 = 0;
         INSERT INTO log_heads SELECT 1000 + n, 1, 1, 0, '90d/2026-11-21' FROM generate_series(1, {LOGS}) n;
         INSERT INTO log_stretches SELECT 1000 + n, 1, '90d/2026-11-21' FROM generate_series(1, {LOGS}) n;",
        whose(REJECTED / 2),
        whose(ENTRIES_OF_FIRST),
        whose(PARKED_OF_FIRST),
    );
    for day in 0..DAYS {
        let (table, start) = attempts(day);
        sql += &format!(
            "INSERT INTO {table} SELECT no, {start} + n * 1000, 1 + n, 1, 12, 200, 0,
                 CASE n WHEN {DAYS} + {day} THEN {RARE_KEY} ELSE n % 50 END, n % 4, c, c
             FROM generate_series({DAYS}, {ATTEMPTS}) n JOIN nos ON row = n / {DAYS} % {BUSY},
                  LATERAL (SELECT CASE n % 97 WHEN 0 THEN 'status' END) f (c) WHERE n % {DAYS} = {day};"
        );
    }
    let (table, start) = attempts(DAYS - 1);
    sql + &format!(
        "INSERT INTO {table} SELECT no, {start} + n * 1000, n, 1, 12, 200, 0, n, 0
             FROM nos, generate_series(1, {QUIET_ATTEMPTS}) n WHERE row >= {BUSY};
         INSERT INTO {table} SELECT {of_vast}, {start} + n, n, 1, 12, 200, 0,
             CASE n WHEN 1 THEN {RARE_KEY} ELSE n % 50 END, 1 FROM generate_series(1, {VAST_ATTEMPTS}) n;"
    )
}

/// The table of a day's attempts, and when the day begins.
pub fn attempts(day: u64) -> (String, i64) {
    let start = Time::from_millis((START.day() + day as i64) * DAY_MS);
    (format!("attempts_{}", start.to_string()[..10].replace('-', "_")), start.millis())
}
