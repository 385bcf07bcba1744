//! Databases on a PostgreSQL server.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

static MADE: AtomicU64 = AtomicU64::new(0);

/// Makes an empty database on the server of this address; its address.
pub async fn make(server: &str) -> Result<String> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.context("connecting to PostgreSQL")?;
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    let (place, _) = server.rsplit_once('/').context("the server's address ends with a database")?;
    let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let name = format!("bench_{process}_{number}");
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    Ok(format!("{place}/{name}"))
}
