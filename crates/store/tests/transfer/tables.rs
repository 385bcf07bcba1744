//! Which tables move.

use std::collections::BTreeSet;

use tillstream_store::postgres;

use super::{KEY, Move, server};

/// A table that is added to one engine must be thought of here: it moves, or it belongs to the engine alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_moves_or_belongs_to_an_engine_alone() {
    const MOVES: [&str; 18] = [
        "answers",
        "audit",
        "companies",
        "documents",
        "entries",
        "gone",
        "held",
        "held_sites",
        "integrations",
        "keys",
        "lanes",
        "leftovers",
        "parked",
        "rejected",
        "replays",
        "statistics",
        "usage",
        "versions",
    ];
    const ALONE: [&str; 17] = [
        "attempt_days",
        "attempts_template",
        "buckets",
        "events_template",
        "id_days",
        "ids_template",
        "index_days",
        "index_reached",
        "index_runs",
        "index_template",
        "log_erased",
        "log_heads",
        "log_segments",
        "log_stretches",
        "meta",
        "nodes",
        "questions",
    ];
    let moving = Move::prepare().await;
    drop(moving.embedded());
    drop(postgres::open(moving.to(KEY)).await.unwrap());
    let (client, _connection) = server::connect(&moving.url).await;
    let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let found: BTreeSet<String> = client.query(sql, &[]).await.unwrap().iter().map(|r| r.get(0)).collect();
    assert_eq!(found, MOVES.into_iter().chain(ALONE).map(str::to_owned).collect());

    let conn = rusqlite::Connection::open(moving.data().join("state.db")).unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'meta'";
    let mut stmt = conn.prepare(sql).unwrap();
    let found: BTreeSet<String> = stmt.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, MOVES.into_iter().map(str::to_owned).collect());
}
