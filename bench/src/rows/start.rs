//! Start to first delivery: from starting the process on a large log to the arrival of an event that is
//! posted as soon as the hub accepts one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api::Api;
use crate::clock;
use crate::figure::{Bar, Figure, Unit};
use crate::fixture::{self, Prepared};
use crate::harness::{Bench, SinkProcess};
use crate::hub::READY_LIMIT;
use crate::request::EVENTS_PATH;

const BAR: Bar = Bar::AtMost(1_000.0);
const RETRY: Duration = Duration::from_millis(2);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = fixture::ready(&bench.options, Prepared::Log).await?;
    let sink = bench.sink().await?;
    let hub = bench.hub_on_log(&folder).await?;
    hub.api.create(&sink.integration("start", "ok/start", None)).await?;
    let token = hub.api.token.clone();
    hub.stop().await?;
    let mut times = Vec::new();
    for _ in 0..bench.options.runs {
        times.push(start_ms(bench, &folder, &token, &sink).await?);
    }
    let what = format!("start to first delivery, {} stored", bench.options.rows());
    Ok(vec![Figure::alone(what, Unit::Ms, times, BAR)?])
}

async fn start_ms(bench: &Bench, folder: &Path, token: &str, sink: &SinkProcess) -> Result<f64> {
    sink.control.reset().await?;
    let started_us = clock::wall_us();
    let mut hub = bench.spawn_hub_on(folder)?;
    hub.api.token = token.to_owned();
    post_until_accepted(&hub.api).await?;
    let stats = bench.first_delivery(sink).await?;
    hub.ready().await?;
    hub.stop().await?;
    Ok(stats.first_us.saturating_sub(started_us) as f64 / 1_000.0)
}

async fn post_until_accepted(api: &Api) -> Result<()> {
    let event: Value = json!({"name": "order.completed", "site": "175", "entity_id": "start", "data": {}});
    let until = clock::now() + READY_LIMIT;
    while !matches!(api.raw("POST", EVENTS_PATH, Some(&event)).await, Ok((202, _))) {
        ensure!(clock::now() < until, "the hub accepts nothing within {READY_LIMIT:?}");
        sleep(RETRY).await;
    }
    Ok(())
}
