//! Which engine the tests run on: the embedded one, or with `TILLSTREAM_TEST_ENGINE=postgres` a database of its own for
//! each folder on the server of `TILLSTREAM_TEST_POSTGRES`.

use std::path::Path;

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// The address of a folder's database; None on the embedded engine.
pub fn of(folder: &Path) -> Option<String> {
    let server = server()?;
    let (place, _) = server.rsplit_once('/').expect("a database at the end of the address");
    Some(format!("{place}/{}", name(folder)))
}

/// Makes a folder's database, if the tests run on PostgreSQL.
pub async fn make(folder: &Path) {
    if is_used() {
        make_named(&name(folder)).await;
    }
}

/// Makes a database on the tests' server; its address.
pub async fn make_named(name: &str) -> String {
    let server = test_server();
    let (client, _connection) = connect(&server).await;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    let (place, _) = server.rsplit_once('/').expect("a database at the end of the address");
    format!("{place}/{name}")
}

/// Whether the tests run on PostgreSQL.
pub fn is_used() -> bool {
    server().is_some()
}

/// A connection, which ends with the second part.
pub async fn connect(url: &str) -> (Client, JoinSet<()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection to the server");
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    (client, task)
}

fn server() -> Option<String> {
    match std::env::var("TILLSTREAM_TEST_ENGINE").as_deref() {
        Ok("postgres") => Some(test_server()),
        Ok(other) => panic!("TILLSTREAM_TEST_ENGINE={other}: only postgres is known"),
        Err(_) => None,
    }
}

fn test_server() -> String {
    std::env::var("TILLSTREAM_TEST_POSTGRES")
        .expect("TILLSTREAM_TEST_POSTGRES: run `make test`, or the test inside `tests/postgres/with`")
}

fn name(folder: &Path) -> String {
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}
