//! Idle: what a hub with many integrations and no events costs.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::clock;
use crate::figure::{Bar, Figure, Unit};
use crate::fixture::{self, Prepared};
use crate::harness::Bench;
use crate::proc::Process;

/// Time to come to rest after the start.
pub const SETTLE: Duration = Duration::from_secs(5);
/// Time over which the processor is watched; a tick of the kernel's clock is 10 ms.
pub const WATCH: Duration = Duration::from_secs(10);

const CPU_BAR: Bar = Bar::AtMost(1.0);
const MEMORY_BAR: Bar = Bar::AtMost(150.0);

/// Measures the row.
pub async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let folder = fixture::ready(&bench.options, Prepared::Idle).await?;
    let hub = bench.hub_on(&folder).await?;
    sleep(SETTLE).await;
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.runs {
        cpu.push(percent_of_core(hub.process()?).await?);
        memory.push(hub.process()?.resident_mb()?);
    }
    hub.stop().await?;
    Ok(vec![
        Figure::alone("processor", Unit::PercentOfCore, cpu, CPU_BAR)?,
        Figure::alone("resident memory", Unit::Mb, memory, MEMORY_BAR)?,
    ])
}

async fn percent_of_core(process: Process) -> Result<f64> {
    let (started, before) = (clock::now(), process.cpu_seconds()?);
    sleep(WATCH).await;
    Ok((process.cpu_seconds()? - before) * 100.0 / started.elapsed().as_secs_f64())
}
