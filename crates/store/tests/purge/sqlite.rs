//! The embedded engine: every table of every file.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use tillstream_model::CompanyNo;
use tillstream_store::{MasterKey, Stores, sqlite};

use super::{Dump, Now, Row, check_filled, check_purged, delete, fill};

/// Tables that say nothing of a company, or are meant to keep its number.
const ALONE: [&str; 7] = [
    // What the engine remembers of itself.
    "meta",
    // The numbers of companies that were deleted, and nothing else.
    "gone",
    "closed",
    // Integrations that were deleted; whoever removes something removes what is left of them, too.
    "leftovers",
    // Which segments are listed.
    "segments",
    // Runs of ids and of the index, each with a filter or a count over all companies.
    "id_runs",
    "runs",
];

fn open(folder: &Path, now: &Now) -> Stores {
    let mut options = sqlite::Options::new(now.clock(), MasterKey::new([7; 32]));
    options.min_free_bytes = 0;
    sqlite::open(folder, options).unwrap()
}

/// By `<folder>/<table>`, without the days in the files' names.
fn dump(folder: &Path, dump: &mut Dump) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            self::dump(&path, dump);
        } else if path.extension().is_some_and(|e| e == "db") {
            dump_file(&path, dump);
        }
    }
}

fn dump_file(path: &Path, dump: &mut Dump) {
    let conn = Connection::open(path).unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut stmt = conn.prepare(sql).unwrap();
    let tables: Vec<String> = stmt.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    // The directory's companies are others than the state's.
    let within = if path.ends_with("log/meta.db") { format!("{folder}/") } else { String::new() };
    for table in tables {
        let mut stmt = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns: Vec<String> = stmt.column_names().map(str::to_owned).collect();
        let row = |r: &rusqlite::Row| -> rusqlite::Result<Row> {
            columns.iter().enumerate().map(|(at, column)| Ok((column.clone(), text(r.get_ref(at)?)))).collect()
        };
        let rows: Vec<Row> = stmt.query_map([], row).unwrap().map(Result::unwrap).collect();
        let name = if within.is_empty() { table } else { format!("{within}{table}") };
        let all = dump.entry(name).or_default();
        all.extend(rows);
        all.sort();
    }
}

fn text(value: ValueRef) -> String {
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

/// Ids that became a sorted run: a run has more ids than a test should append.
fn sort_some_ids(folder: &Path, companies: [CompanyNo; 2]) {
    for file in std::fs::read_dir(folder.join("log/30d")).unwrap().map(|e| e.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "db") {
            continue;
        }
        let conn = Connection::open(file).unwrap();
        conn.execute("INSERT INTO id_runs VALUES (0, zeroblob(64))", []).unwrap();
        for n in 0..1_000u64 {
            let company = companies[n as usize % 2];
            let (hash, pos) = ([&n.to_be_bytes()[..], &[0; 8]].concat(), i64::from(company.0) << 40 | n as i64);
            conn.execute("INSERT INTO old_ids VALUES (0, ?, ?, x'00')", params![hash, pos]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_deleted_company_in_any_file() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Now::new());
    let stores = open(folder.path(), &now);
    let whose = fill::fill(&stores, &now).await;
    drop(stores);
    sort_some_ids(folder.path(), [whose.gone, whose.stays]);
    let alone = ALONE.into_iter().chain(["log/closed", "log/segments"]).collect();
    let (mut before, mut after) = (Dump::new(), Dump::new());
    dump(folder.path(), &mut before);
    check_filled(&before, &whose, &alone);
    let stores = open(folder.path(), &now);
    delete(&stores, whose.gone).await;
    drop(stores);
    dump(folder.path(), &mut after);
    check_purged(&before, &after, &whose, &alone);
    assert_eq!((after["gone"].len(), after["log/closed"].len()), (1, 1), "its number is never used again");
}
