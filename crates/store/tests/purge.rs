//! Deleting a company leaves nothing of it in any table of any engine, and nothing of another company changes.
//!
//! Two companies get the same of everything ([`fill`]). Every table there is has to have something of both, unless it is
//! named in [`Engine::alone`]; a table that is added must be filled here, or be named there with the reason. Then one of
//! them is deleted, and each table must have exactly the rows of the other one, byte by byte.

#[path = "purge/fill.rs"]
mod fill;
#[path = "purge/postgres.rs"]
mod postgres;
#[path = "support/server.rs"]
mod server;
#[path = "purge/sqlite.rs"]
mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tillstream_model::{CompanyNo, IntegrationNo, Time};
use tillstream_store::suite::START;
use tillstream_store::{Clock, Stores};

/// A row: the names of its columns and their values, as texts.
type Row = BTreeMap<String, String>;
/// All tables with their rows, sorted.
type Dump = BTreeMap<String, Vec<Row>>;

/// What is deleted, and what stays.
struct Whose {
    gone: CompanyNo,
    stays: CompanyNo,
    lane_gone: IntegrationNo,
    lane_stays: IntegrationNo,
}

/// A clock that stands still until it is set.
#[derive(Clone)]
struct Now(Arc<AtomicI64>);

impl Now {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START.millis())))
    }

    fn set(&self, now: Time) {
        self.0.store(now.millis(), Ordering::Release);
    }

    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Arc::new(move || Time::from_millis(now.load(Ordering::Acquire)))
    }
}

async fn delete(stores: &Stores, company: CompanyNo) {
    stores.state.hide_company(company, "job_1").await.unwrap();
    stores.log.close(company).await.unwrap();
    while !stores.log.purge(company).await.unwrap().done {}
    while !stores.index.purge(company).await.unwrap().done {}
    while !stores.state.purge_state(company).await.unwrap().done {}
    stores.state.remove_company(company).await.unwrap();
}

/// Whether a row says that it is of this company or lane. None: the table does not say whose its rows are.
fn is_of(row: &Row, company: CompanyNo, lane: IntegrationNo) -> Option<bool> {
    let number = |column: &str| row.get(column).map(|text| text.parse::<u64>().unwrap_or_default());
    let company_of = number("company").or_else(|| number("pos").map(|pos| pos >> 40));
    // The companies themselves.
    let company_of = company_of.or_else(|| row.contains_key("external_id").then(|| number("no")).flatten());
    match (company_of, number("integration")) {
        (Some(of), _) => Some(of == u64::from(company.0)),
        (None, Some(of)) => Some(of == lane.0),
        (None, None) => None,
    }
}

/// Before: something of both everywhere.
fn check_filled(dump: &Dump, whose: &Whose, alone: &BTreeSet<&str>) {
    for (table, rows) in dump.iter().filter(|(table, _)| !alone.contains(table.as_str())) {
        for (company, lane) in [(whose.gone, whose.lane_gone), (whose.stays, whose.lane_stays)] {
            let found = rows.iter().filter(|row| is_of(row, company, lane) != Some(false)).count();
            assert!(found > 0, "nothing in {table} is of company {}: fill it in purge/fill.rs", company.0);
        }
        assert!(rows.len() > 1, "{table} has {} rows", rows.len());
    }
}

/// After: only what stays, as it was.
fn check_purged(before: &Dump, after: &Dump, whose: &Whose, alone: &BTreeSet<&str>) {
    for (table, rows) in before.iter().filter(|(table, _)| !alone.contains(table.as_str())) {
        let left = &after[table];
        let says = rows.iter().all(|row| is_of(row, whose.gone, whose.lane_gone).is_some());
        if says {
            let stay = |row: &&Row| is_of(row, whose.stays, whose.lane_stays) == Some(true);
            let expected: Vec<&Row> = rows.iter().filter(stay).collect();
            assert_eq!(left.iter().collect::<Vec<_>>(), expected, "{table}");
        } else {
            assert_eq!(2 * left.len(), rows.len(), "{table} does not say whose its rows are; half of them stay");
            assert!(left.iter().all(|row| rows.contains(row)), "{table}: rows have changed");
        }
    }
}
