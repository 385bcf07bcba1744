//! The rows of the speed table (`design.md`, "Speed"), one file each. A new row is a file and one entry here.

mod bytes_written;
mod catch_up;
mod fan_out;
mod find_pending;
mod first_page;
mod growth;
mod hanging;
mod idle;
mod ingest;
mod ingest_batches;
mod latency;
mod memory;
mod nodes;
mod postgres;
mod start;
mod through;

use anyhow::{Result, bail};
use futures_util::future::LocalBoxFuture;

use crate::figure::Figure;
use crate::harness::Bench;

/// One row.
pub struct Row {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// Measures it.
    pub run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Result<Vec<Figure>>>,
}

/// All rows, in the order of the table.
pub const ALL: &[Row] = &[
    Row {
        name: "ingest",
        what: "durable ingest of 1 KB events, 64 connections, against the same server with an empty handler",
        run: |bench| Box::pin(ingest::run(bench)),
    },
    Row {
        name: "ingest-batches",
        what: "durable ingest in batches of 100, against SQLite inserting the same rows in the same commits",
        run: |bench| Box::pin(ingest_batches::run(bench)),
    },
    Row {
        name: "through",
        what: "ingest and delivery at once, ordered and signed, against a bare client",
        run: |bench| Box::pin(through::run(bench)),
    },
    Row {
        name: "catch-up",
        what: "delivery of what is pending, against a bare client",
        run: |bench| Box::pin(catch_up::run(bench)),
    },
    Row { name: "latency", what: "accepted to received at 1,000 events/s", run: |bench| Box::pin(latency::run(bench)) },
    Row { name: "fan-out", what: "deliveries/s of 100 lanes against one", run: |bench| Box::pin(fan_out::run(bench)) },
    Row {
        name: "idle",
        what: "processor and memory with 10,000 idle integrations in 1,000 companies",
        run: |bench| Box::pin(idle::run(bench)),
    },
    Row {
        name: "growth",
        what: "ingest and delivery on a large log against a small one",
        run: |bench| Box::pin(growth::run(bench)),
    },
    Row {
        name: "find-pending",
        what: "finding 100 pending events of one company among many companies",
        run: |bench| Box::pin(find_pending::run(bench)),
    },
    Row { name: "start", what: "start to first delivery on a large log", run: |bench| Box::pin(start::run(bench)) },
    Row {
        name: "bytes-written",
        what: "bytes written to disk per 1 KB event delivered once",
        run: |bench| Box::pin(bytes_written::run(bench)),
    },
    Row {
        name: "hanging-20",
        what: "p99 of healthy lanes with 20 of 200 hanging, against none hanging",
        run: |bench| Box::pin(hanging::run(bench, hanging::FEW)),
    },
    Row {
        name: "hanging-1000",
        what: "p99 of healthy lanes with 1,000 of 1,200 hanging, against none hanging",
        run: |bench| Box::pin(hanging::run(bench, hanging::MOST)),
    },
    Row {
        name: "memory",
        what: "peak memory with a dead receiver and many pending, and the rate once it heals",
        run: |bench| Box::pin(memory::run(bench)),
    },
    Row {
        name: "first-page",
        what: "first page of attempts and of rejected events with many stored",
        run: |bench| Box::pin(first_page::run(bench)),
    },
    Row {
        name: "postgres",
        what: "ingest, and ingest with delivery, through PostgreSQL against the embedded engine",
        run: |bench| Box::pin(postgres::run(bench)),
    },
    Row {
        name: "nodes",
        what: "processor time for the same deliveries by three hubs on one PostgreSQL against one hub",
        run: |bench| Box::pin(nodes::run(bench)),
    },
];

/// The rows with these names, in the order of the table; all without any. Errors on a name that is none.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|row| row.name == name.as_str())) {
        bail!("no row is called {unknown:?}; --list shows them");
    }
    Ok(ALL.iter().filter(|row| names.is_empty() || names.iter().any(|name| name == row.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&Row]) -> Vec<&'static str> {
        chosen.iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_run_in_the_order_of_the_table_and_once() {
        let asked = ["memory", "ingest", "memory"].map(str::to_owned);
        assert_eq!(names(&chosen(&asked).expect("rows")), ["ingest", "memory"]);
        assert_eq!(chosen(&[]).expect("rows").len(), ALL.len());
    }

    #[test]
    fn an_unknown_row_is_an_error() {
        assert!(chosen(&["ingets".to_owned()]).is_err());
    }

    #[test]
    fn names_are_unique() {
        let distinct: std::collections::HashSet<_> = ALL.iter().map(|row| row.name).collect();
        assert_eq!(distinct.len(), ALL.len());
    }
}
