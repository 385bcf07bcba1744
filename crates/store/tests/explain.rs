//! Every call of the PostgreSQL engine reads what it gives, however much else there is: no list walks a table.
//!
//! Each call of `State` and `Log` that lists or looks something up ([`calls`]) runs on a database with much of
//! everything ([`fill`]). The plans of the statements that it really sent are caught ([`plans`]); they tell how many rows
//! were read, and how many blocks of tables and indexes. [`MOST`] says how many that may be. Then one index after the
//! other is hidden from the server, and the call that it serves must be seen to read too much.
//!
//! Needs a role that may load the module `auto_explain`, which comes with the server.

#[path = "explain/calls.rs"]
mod calls;
#[path = "explain/fill.rs"]
mod fill;
#[path = "explain/plans.rs"]
mod plans;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::time::Duration;

use calls::run_all;
use fill::*;
use plans::{OPTIONS, Plan, Plans};
use server::connect;
use tillstream_model::Time;
use tillstream_store::nodes::BUCKETS;
use tillstream_store::state::AttemptFilter;
use tokio_postgres::Client;

/// Rows for a page of this size.
type Rows = fn(u64) -> u64;

/// The most rows that a call may read, of all tables together, in terms of its page. A look-up counts as a row, and a
/// list asks for one more than its page to see whether others follow.
const MOST: &[(&str, Rows)] = &[
    // Lists without pages: what is listed.
    // With a look whether they are hidden.
    ("companies", |_| 2 * COMPANIES),
    ("leaving", |_| GATE),
    ("keys", |listed| listed),
    ("lane_heads", |_| 5 * INTEGRATIONS + VERSIONS),
    ("lane", |parked| parked + 2),
    ("lane_figures", |parked| parked + 1),
    // Each integration with its lane and the first event that waits, and all that wait to count them.
    ("lane_summaries", |_| 4 * INTEGRATIONS + PARKED),
    ("statistics", |buckets| buckets),
    ("attempts_of", |found| found + 3 * DAYS),
    // Lists with pages. The integrations of a page each have their settings' row.
    ("integrations", |page| 2 * page),
    ("versions", |page| page + 2),
    ("rejected", |page| page + 2),
    ("log_entries", |page| page + 2),
    ("documents", |page| page),
    ("audit", |page| page + 1),
    ("audit of one", |page| page + 1),
    ("usage", |days| days),
    // There are few of a company; the server may read all of them and sort.
    ("held_sites", |_| HELD_SITES),
    ("held", |page| page),
    // Those of integrations each have their integration's row.
    ("untold", |page| 3 * page + 2),
    ("attempts of one", |page| page + 3 * DAYS),
    // A page of each integration when that is not much, else of all together, which are looked for on each day.
    ("attempts of some", |page| FIRST_LOOK.min(BUSY * (page + 1)) + 4 * (page + BUSY * DAYS)),
    // Each integration is looked for, and its newest attempts on each day that the page reaches into.
    ("attempts of all", |page| 6 * (BUSY + QUIET) + 4 * page),
    ("failed attempts of all", |page| (1 + 2 * DAYS) * (BUSY + QUIET) + 4 * page),
    // For filters that no index serves: `LOOKED_ROWS` of `engine/place.rs`, which are looked at and then picked from.
    ("attempts by looking", |page| 2 * (LOOKED_ROWS + LEAST_LOOK * (BUSY + QUIET)) + page),
    // Where events are is told by stretches; then a page of them.
    ("read", |page| page + STRETCHES + 3),
    ("get", |page| page + STRETCHES + 3),
    // A search by halves in each stretch of the day, and the events of one moment.
    ("find", |_| 2 * HALVES + STRETCHES + 3 + MOMENT),
    ("before", |_| 2 * HALVES + STRETCHES + 3),
    ("head", |_| 1),
    ("floor", |_| 1),
    // Two days of ids, and for each segment its two companies' stretches, the next ones and the heads.
    // … and a look for erased events to be forgotten.
    ("due", |segments| 3 + segments + segments * 2 * 3),
    // Single things, with what they hang on.
    ("key_by_hash", |_| 1),
    ("document", |_| 1),
    ("put_document", |_| 1 + GATE),
    ("delete_document", |_| 1),
    ("held_site", |_| 1),
    ("integration", |_| 2),
    ("settings_at", |later_versions| later_versions + 2),
    ("parked_of", |_| 2),
    ("rejected_of", |_| 2),
    ("replay", |_| 1),
    // Many at once: each by itself, on each day.
    ("delivered_among", |seqs| (DAYS + 1) * seqs + DAYS),
    ("parked_among", |seqs| 2 * seqs),
    ("rejected_among", |ids| 2 * ids),
    // The lane, and what is listed of each event; attempts once a day.
    ("outcomes", |events| 2 + (DAYS + 2) * (events + 1) + DAYS),
    // The days and runs of the index, and a look into each run.
    ("positions", |runs| DAYS + 2 * runs),
    ("reached", |_| 1),
    ("erase", |_| 12),
    ("erase event", |_| 8),
    // What calls that change something look at first; here they find nothing to be changed.
    ("append", |events| events + 4),
    // Names are counted up to their limit, to see whether there is room.
    ("begin_answer", |most| most + 4 + GATE),
    // The key that seals, among a few marks.
    ("keep_answer", |_| 4),
    ("forget_answer", |_| 1),
    // Once to see whether there is room, and the ids.
    ("hold", |events| HELD_SITES + 2 * events + 4 + GATE),
    ("unhold", |ids| ids + 4),
    ("commit", |_| BUCKETS as u64 + 1),
    ("retry_rejected", |_| 2),
    ("delete_rejected", |_| 2),
    ("delete_key", |_| 1),
    ("touch_keys", |keys| 2 * keys),
    ("sweep", |_| 8 * SWEPT_ROWS + DAYS + 6),
    ("add_statistics", |buckets| 2 * buckets + GATE),
    ("told", |news| news),
    // It is hidden, and a look into each table, its integrations and what is left of deleted ones finds nothing.
    ("hide_company", |_| GATE),
    ("purge_state", |tables| 2 * tables + 4),
    ("purge", |_| 3),
    ("purge of the index", |runs| 2 + 2 * runs),
];

/// Which call shows that an index is missing.
const INDEXES: &[(&str, &str)] = &[
    ("answers (at)", "sweep"),
    ("answers (company, id)", "keep_answer"),
    ("attempts (integration, at, seq, number)", "attempts of one"),
    ("attempts (integration, at, seq, number) WHERE (cause IS NOT NULL)", "failed attempts of all"),
    ("attempts (integration, seq)", "attempts_of"),
    ("audit (company, id)", "audit"),
    ("audit (company, object, id)", "audit of one"),
    ("audit (id)", "sweep"),
    ("audit (id) WHERE untold", "untold"),
    ("documents (company, kind, id)", "documents"),
    ("entries (id)", "sweep"),
    ("entries (id) WHERE untold", "untold"),
    ("entries (integration, id)", "log_entries"),
    ("events (company, seq)", "read"),
    ("held (company, site, id)", "held"),
    ("held (hash) WHERE (hash IS NOT NULL)", "hold"),
    ("held_sites (company, site)", "held_sites"),
    ("ids (hash)", "append"),
    ("index (run, company, key)", "positions"),
    ("integrations (company, id)", "integrations"),
    ("integrations (no)", "parked_of"),
    ("keys (company, created_at, id)", "keys"),
    ("keys (hash)", "key_by_hash"),
    ("keys (id)", "touch_keys"),
    ("lanes (integration)", "lane"),
    ("log_heads (company)", "head"),
    ("log_stretches (company, first)", "read"),
    ("log_stretches (segment, company)", "due"),
    ("parked (integration, seq)", "parked_of"),
    ("rejected (id)", "delete_rejected"),
    ("rejected (integration, at, id)", "rejected"),
    ("rejected (integration, event_id)", "rejected_of"),
    ("usage (company, day, retention)", "usage"),
    ("usage (day)", "sweep"),
    ("statistics (company, resolution, at)", "statistics"),
    ("statistics (resolution, at)", "sweep"),
    ("versions (integration, version)", "settings_at"),
];

/// Indexes of tables that have a few rows, or that no call of the two traits asks for a list.
const SMALL: &[&str] = &[
    "attempt_days (day)",
    "buckets (bucket)",
    "companies (external_id)",
    "companies (no)",
    "gone (company)",
    "id_days (day)",
    "index_days (day)",
    "index_reached (company)",
    "index_runs (day, run)",
    "index_runs (run)",
    "leftovers (integration)",
    "log_erased (at)",
    "log_segments (name)",
    "meta (name)",
    "nodes (name)",
    "questions (id)",
    "questions (node, id) WHERE (answer IS NULL)",
    "replays (integration)",
];

/// As `engine/place.rs` has it.
const LOOKED_ROWS: u64 = 200_000;
/// As the engine's `ledger.rs` has them.
const FIRST_LOOK: u64 = 2_000;
const LEAST_LOOK: u64 = 16;
/// Rows of a table that one transaction of a sweep looks at.
const SWEPT_ROWS: u64 = 500;
/// To write for a company it is locked, and looked for among those that are hidden; there are few of both.
const GATE: u64 = COMPANIES + 1;
/// How often a stretch can be halved.
const HALVES: u64 = EVENTS.ilog2() as u64 + 1;
/// Blocks that a row may take: three levels of an index and its table.
const ROW_BLOCKS: u64 = 4;
/// Blocks that any call may take, as for looking into tables that have a few rows.
const FREE_BLOCKS: u64 = 8;

/// Runs calls and keeps what each of them cost too much.
struct Meter {
    plans: Plans,
    /// The only call to run; None: all.
    only: Option<&'static str>,
    ran: BTreeSet<&'static str>,
    too_much: String,
}

impl Meter {
    fn new(only: Option<&'static str>) -> Self {
        Self { plans: Plans::catch(), only, ran: BTreeSet::new(), too_much: String::new() }
    }

    /// Runs a call that reads a page of this size; None when only another one is to be run.
    async fn run<T, E: Debug>(
        &mut self,
        call: &'static str,
        page: u64,
        running: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        if self.only.is_some_and(|only| only != call) {
            return None;
        }
        self.plans.take();
        let done = running.await.unwrap();
        let plans = self.plans.take();
        self.ran.insert(call);
        let (_, most) = MOST.iter().find(|(name, _)| *name == call).expect("a line in the table");
        let most = most(page);
        let rows: u64 = plans.iter().map(Plan::rows).sum();
        let blocks: u64 = plans.iter().map(Plan::blocks).sum();
        assert!(!plans.is_empty(), "{call}: no plan was caught");
        if rows > most || blocks > ROW_BLOCKS * most + FREE_BLOCKS {
            let text = &mut self.too_much;
            writeln!(text, "{call} ({page}): {rows} rows of at most {most}, {blocks} blocks").unwrap();
            plans.iter().for_each(|plan| write!(text, "{plan}").unwrap());
        }
        Some(done)
    }
}

/// Tables that are not for one day. The server looks through all tables from time to time, but knows nothing of those
/// for a day that has just begun.
const LASTING: &str = "SELECT format('ANALYZE %I', relname) FROM pg_class WHERE relkind = 'r'
    AND relnamespace = 'public'::regnamespace AND relname !~ '_\\d{4}_\\d\\d_\\d\\d$'";

#[tokio::test]
async fn every_call_reads_what_its_page_needs_and_a_missing_index_shows() {
    let filled = Filled::make().await;
    let (client, _connection) = connect(&filled.url).await;
    for table in client.query(LASTING, &[]).await.unwrap() {
        client.batch_execute(table.get(0)).await.unwrap();
    }
    pages_leave_nothing_out(&filled, &client).await;
    no_call_reads_too_much(&filled, "a day has just begun").await;
    client.batch_execute("ANALYZE").await.unwrap();
    no_call_reads_too_much(&filled, "the server knows all tables").await;
    every_missing_index_shows(&filled, &client).await;
}

/// Reading little is of no use when something is missing: pages of very many integrations, which are looked for in two
/// steps, against all their attempts. Thousands of them share the same moments.
async fn pages_leave_nothing_out(filled: &Filled, client: &Client) {
    const PAGE: usize = 100;
    const ROWS: usize = 10 * PAGE;
    let tables: Vec<_> = (0..DAYS).map(|day| format!("SELECT * FROM {}", attempts(day).0)).collect();
    let stores = filled.open("").await;
    let shared = Some(filled.day(DAYS - 1) + Duration::from_secs(QUIET_ATTEMPTS));
    for (to, success, wanted) in
        [(None, None, "true"), (shared, None, "true"), (None, Some(false), "cause IS NOT NULL")]
    {
        let filter = AttemptFilter { to, success, ..AttemptFilter::default() };
        let (mut found, mut after) = (Vec::new(), None);
        while found.len() < ROWS {
            let page = stores.state.attempts(filled.big, &filter, after.as_deref(), PAGE).await.unwrap();
            found.extend(page.items.iter().map(|(no, a)| (no.0 as i64, a.at.millis(), a.seq as i64)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let sql = format!(
            "SELECT integration, at, seq FROM ({}) a JOIN integrations ON no = integration
             WHERE company = {} AND {wanted} AND at < {}
             ORDER BY at DESC, seq DESC, number DESC, integration DESC LIMIT {ROWS}",
            tables.join(" UNION ALL "),
            filled.big.0,
            to.map_or(i64::MAX, Time::millis),
        );
        let expected = client.query(&sql, &[]).await.unwrap();
        let expected: Vec<(i64, i64, i64)> = expected.iter().map(|r| (r.get(0), r.get(1), r.get(2))).collect();
        assert!(found == expected && found.len() > PAGE, "{filter:?}: {} of {}", found.len(), expected.len());
    }
}

async fn no_call_reads_too_much(filled: &Filled, when: &str) {
    let mut meter = Meter::new(None);
    let stores = filled.open(OPTIONS).await;
    run_all(&mut meter, filled, &stores).await;
    assert!(meter.too_much.is_empty(), "when {when}:\n{}", meter.too_much);
    assert!(MOST.iter().all(|(call, _)| meter.ran.contains(call)), "only these ran: {:?}", meter.ran);
}

/// Indexes by what they are on; those of tables for days together, and without those of templates, which stay empty.
const ALL_INDEXES: &str = r"SELECT what, array_agg(index) FROM (
        SELECT regexp_replace(regexp_replace(pg_get_indexdef(indexrelid), '^.* ON \w+\.(\S+) USING btree', '\1'),
            '_(\d+d_)?\d{4}_\d\d_\d\d', '') AS what, indexrelid AS index
        FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        WHERE relnamespace = 'public'::regnamespace AND relname !~ '_template$') i GROUP BY what ORDER BY what";

async fn every_missing_index_shows(filled: &Filled, client: &Client) {
    let stores = filled.open(OPTIONS).await;
    let mut known: BTreeSet<&str> = INDEXES.iter().map(|(index, _)| *index).collect();
    known.extend(SMALL);
    let found = client.query(ALL_INDEXES, &[]).await.unwrap();
    let all: BTreeSet<&str> = found.iter().map(|r| r.get(0)).collect();
    assert_eq!(all, known, "each index is in one of the tables above");
    let hide = "UPDATE pg_index SET indisvalid = $2 WHERE indexrelid = ANY ($1)";
    for r in &found {
        let (index, ids): (&str, Vec<u32>) = (r.get(0), r.get(1));
        let Some((_, call)) = INDEXES.iter().find(|(name, _)| *name == index) else { continue };
        client.execute(hide, &[&ids, &false]).await.unwrap();
        let mut meter = Meter::new(Some(call));
        run_all(&mut meter, filled, &stores).await;
        client.execute(hide, &[&ids, &true]).await.unwrap();
        assert!(!meter.too_much.is_empty(), "{call} does not show that {index} is missing");
    }
}
