//! The first page of attempts and of rejected events, newest first, with many stored.

use anyhow::{Context, Result};

use crate::clock;
use crate::figure::{Bar, Figure, Unit};
use crate::fixture::{self, INTEGRATION, Prepared};
use crate::harness::Bench;
use crate::hub::Hub;

/// Calls of one measurement; the slowest counts.
pub const CALLS: usize = 20;

const BAR: Bar = Bar::AtMost(100.0);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = fixture::ready(&bench.options, Prepared::Attempts).await?;
    let hub = bench.hub_on(&folder).await?;
    let mut figures = Vec::new();
    for page in ["attempts", "rejected"] {
        let mut samples = Vec::new();
        for _ in 0..bench.options.runs {
            samples.push(slowest_ms(&hub, page).await?);
        }
        let what = format!("slowest of {CALLS} first pages of {page}, {} stored", bench.options.rows());
        figures.push(Figure::alone(what, Unit::Ms, samples, BAR)?);
    }
    hub.stop().await?;
    Ok(figures)
}

async fn slowest_ms(hub: &Hub, page: &str) -> Result<f64> {
    let path = format!("/v1/integrations/{INTEGRATION}/{page}");
    let mut slowest = 0.0_f64;
    for _ in 0..CALLS {
        let started = clock::now();
        let answer = hub.api.call("GET", &path, None).await?;
        let took = started.elapsed().as_secs_f64() * 1_000.0;
        answer["items"].as_array().filter(|items| !items.is_empty()).with_context(|| format!("{path} is empty"))?;
        slowest = slowest.max(took);
    }
    Ok(slowest)
}
