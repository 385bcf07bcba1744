//! The scale-out engine: every table of the database.

use serde_json::Value;
use tillstream_store::{MasterKey, Stores, postgres};
use tokio_postgres::Client;

use super::server::{connect, run, server, url};
use super::{Dump, Now, Row, check_filled, check_purged, delete, fill};

/// Tables that say nothing of a company, or are meant to keep its number.
const ALONE: [&str; 12] = [
    // What the engine remembers of itself, and of the nodes.
    "meta",
    "nodes",
    "buckets",
    "questions",
    // The numbers of companies that were deleted, and nothing else; the second is looked at below.
    "gone",
    "log_heads",
    // Integrations that were deleted; whoever removes something removes what is left of them, too.
    "leftovers",
    // Which days and segments have a table.
    "log_segments",
    "id_days",
    "index_days",
    "attempt_days",
    // Runs of the index, each with a count over all companies.
    "index_runs",
];

async fn open(url: &str, now: &Now) -> Stores {
    let options = postgres::Options::new(url.to_owned(), "test".into(), now.clock(), MasterKey::new([7; 32]));
    postgres::open(options).await.unwrap()
}

/// By table, those of one kind for several days together.
async fn dump(client: &Client) -> Dump {
    let sql = "SELECT tablename::text, regexp_replace(tablename::text, '_(\\d+d_)?\\d{4}_\\d\\d_\\d\\d$', '')
               FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '_template$'";
    let mut dump = Dump::new();
    for found in client.query(sql, &[]).await.unwrap() {
        let (table, kind): (String, String) = (found.get(0), found.get(1));
        let rows = client.query(&format!("SELECT to_json(t)::text FROM {table} t"), &[]).await.unwrap();
        let all = dump.entry(kind).or_default();
        all.extend(rows.iter().map(|r| row(r.get(0))));
        all.sort();
    }
    dump
}

fn row(json: &str) -> Row {
    let members: serde_json::Map<String, Value> = serde_json::from_str(json).unwrap();
    members.into_iter().map(|(column, value)| (column, value.to_string().trim_matches('"').to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_deleted_company_in_any_table() {
    let (name, now) = (format!("t_{:016x}", rand::random::<u64>()), Now::new());
    run(&server(), &format!("CREATE DATABASE {name}")).await.unwrap();
    let stores = open(&url(&name), &now).await;
    let whose = fill::fill(&stores, &now).await;
    let (client, _connection) = connect(&url(&name)).await;
    let alone = ALONE.into_iter().collect();
    let before = dump(&client).await;
    check_filled(&before, &whose, &alone);
    delete(&stores, whose.gone).await;
    let after = dump(&client).await;
    check_purged(&before, &after, &whose, &alone);
    assert_eq!(after["gone"].len(), 1, "its number is never used again");
    let heads: Vec<&Row> = after["log_heads"].iter().filter(|r| r["company"] == whose.gone.0.to_string()).collect();
    let kept = ["head", "head_at", "floor", "segment", "closed"].map(|column| heads[0][column].as_str());
    assert_eq!(kept, ["0", "0", "0", "", "true"]);
    let of_other = |dump: &Dump| -> Vec<Row> {
        dump["log_heads"].iter().filter(|r| r["company"] == whose.stays.0.to_string()).cloned().collect()
    };
    assert_eq!(of_other(&before), of_other(&after));
}
