//! Finding the pending events of one company among those of many: from the call that starts its lane to the
//! first delivery (reading) and to the hundredth (reading and sending).

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::api::Api;
use crate::clock;
use crate::figure::{Bar, Figure, Unit};
use crate::fixture::{self, LANE, PENDING, Prepared, company_count, external_id};
use crate::harness::{Bench, SinkProcess};
use crate::sink::Stats;

const BAR: Bar = Bar::AtMost(50.0);
const LIMIT: Duration = Duration::from_secs(20);
/// Companies that are looked at for one whose events still wait; earlier runs have used some up.
const TRIES: u64 = 200;

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = fixture::ready(&bench.options, Prepared::Companies).await?;
    let hub = bench.hub_on(&folder).await?;
    let sink = bench.sink().await?;
    let key = hub.create_key("instance").await?;
    let companies = company_count(bench.options.rows());
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.runs {
        let company = unused(companies, |id| hub.as_company(&key, id)).await?;
        let (started_us, stats) = measure(&company, &sink).await?;
        first.push(ms_between(started_us, stats.first_us));
        last.push(ms_between(started_us, stats.last_us));
    }
    hub.stop().await?;
    Ok(vec![
        Figure::alone(format!("start call to first delivery, {companies} companies"), Unit::Ms, first, Bar::None)?,
        Figure::alone(format!("start call to delivery {PENDING}, {companies} companies"), Unit::Ms, last, BAR)?,
    ])
}

/// A company whose events still wait, from anywhere among them.
async fn unused(companies: u64, company: impl Fn(&str) -> Api) -> Result<Api> {
    let start = clock::wall_us() % companies;
    for index in (start..start + TRIES).map(|index| index % companies) {
        let api = company(&external_id(index));
        if api.lag(LANE).await? == PENDING {
            return Ok(api);
        }
    }
    anyhow::bail!("none of {TRIES} companies has {PENDING} events waiting; make the fixture anew")
}

async fn measure(company: &Api, sink: &SinkProcess) -> Result<(u64, Stats)> {
    company.retarget(LANE, &sink.url("ok/pending")).await?;
    sink.control.reset().await?;
    let started_us = clock::wall_us();
    company.start(LANE).await?;
    let stats = sink.control.wait_for(PENDING, LIMIT).await?;
    ensure!(stats.received == PENDING, "{} of {PENDING} events were delivered", stats.received);
    Ok((started_us, stats))
}

fn ms_between(from_us: u64, to_us: u64) -> f64 {
    to_us.saturating_sub(from_us) as f64 / 1_000.0
}
