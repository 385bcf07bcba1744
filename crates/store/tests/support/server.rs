//! The server that tests make databases on: `make test` brings one, see `tests/postgres/with`.

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// Its address.
pub fn server() -> String {
    std::env::var("TILLSTREAM_TEST_POSTGRES")
        .expect("TILLSTREAM_TEST_POSTGRES: run `make test`, or the test inside `tests/postgres/with`")
}

/// The address of a database with this name.
pub fn url(name: &str) -> String {
    let server = server();
    let (before, _) = server.rsplit_once('/').expect("a database at the end");
    format!("{before}/{name}")
}

/// A connection, which ends with the second part.
pub async fn connect(url: &str) -> (Client, JoinSet<()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    (client, task)
}

/// Runs statements.
pub async fn run(url: &str, sql: &str) -> Result<(), tokio_postgres::Error> {
    let (client, _connection) = connect(url).await;
    client.batch_execute(sql).await
}
