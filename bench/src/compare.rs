//! Two builds in one run: each row is measured by the bench of either build, on its own hub and its own data, in
//! turn. The other build's figures are the baseline, so the table says what became slower.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::figure::{Bar, Figure, Pairs, Unit};
use crate::options::Options;

/// A row may be so much worse than the other build's, as a share.
pub const TOLERANCE: f64 = 0.05;

/// What `--json` writes, as far as it is needed here.
#[derive(Deserialize)]
struct Report {
    rows: Vec<ReportedRow>,
}

#[derive(Deserialize)]
struct ReportedRow {
    #[serde(default)]
    figures: Vec<Reported>,
    #[serde(default)]
    failed: Option<String>,
}

#[derive(Deserialize)]
struct Reported {
    what: String,
    unit: Unit,
    subject: Vec<f64>,
}

/// One build: its bench, and a folder for its fixtures, which are of its own format.
struct Build {
    bench: PathBuf,
    work: PathBuf,
}

/// Measures a row with this build and with the one of the bench at `other`, in turn, as often as asked for.
pub async fn run(options: &Options, other: &Path, row: &str) -> Result<Vec<Figure>> {
    let other = other.canonicalize().with_context(|| format!("the other build's bench {}", other.display()))?;
    let old = Build { bench: other, work: options.work.join("other") };
    let new = Build { bench: std::env::current_exe()?, work: options.work.clone() };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        before.push(old.measure(options, row).await?);
        after.push(new.measure(options, row).await?);
    }
    figures(&before, &after)
}

impl Build {
    async fn measure(&self, options: &Options, row: &str) -> Result<Vec<Reported>> {
        std::fs::create_dir_all(&self.work)?;
        let report = tempfile::NamedTempFile::new_in(&self.work)?;
        let output = self.command(options, row, report.path()).output().await?;
        let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
        let read: Report = serde_json::from_slice(&std::fs::read(report.path())?)
            .with_context(|| format!("{} wrote no report: {}", self.bench.display(), complaint()))?;
        let row = read.rows.into_iter().next().context("a report without rows")?;
        ensure!(row.failed.is_none(), "{}: {}", self.bench.display(), row.failed.unwrap_or_default());
        Ok(row.figures)
    }

    fn command(&self, options: &Options, row: &str, report: &Path) -> Command {
        let mut command = Command::new(&self.bench);
        let (rows, pending) = (options.rows().to_string(), options.pending().to_string());
        command.args([row, "--runs", "1", "--rows", &rows, "--pending", &pending]);
        command.arg("--work").arg(&self.work).arg("--json").arg(report);
        command.args(options.quick.then_some("--quick"));
        if let Some(url) = &options.postgres {
            command.env("TILLSTREAM_TEST_POSTGRES", url);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// Figures are matched by their place: some say in words how much was stored when they were taken.
fn figures(before: &[Vec<Reported>], after: &[Vec<Reported>]) -> Result<Vec<Figure>> {
    let first = after.first().context("at least one run")?;
    let same = before.iter().chain(after).all(|run| run.len() == first.len());
    ensure!(same, "the two builds take different figures in this row");
    (0..first.len()).map(|at| figure(before, after, at)).collect()
}

fn figure(before: &[Vec<Reported>], after: &[Vec<Reported>], at: usize) -> Result<Figure> {
    let samples = |runs: &[Vec<Reported>]| runs.iter().flat_map(|run| run[at].subject.clone()).collect();
    let pairs = Pairs { baseline: samples(before), subject: samples(after) };
    let Reported { what, unit, .. } = &after[0][at];
    let bar = match unit {
        Unit::PerSecond => Bar::RatioAtLeast(1.0 - TOLERANCE),
        _ => Bar::RatioAtMost(1.0 + TOLERANCE),
    };
    Figure::versus(what, *unit, pairs, bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(unit: Unit, samples: &[f64]) -> Vec<Reported> {
        vec![Reported { what: "x".into(), unit, subject: samples.to_vec() }]
    }

    fn reached(unit: Unit, before: f64, after: f64) -> Option<bool> {
        figures(&[run(unit, &[before])], &[run(unit, &[after])]).expect("figures")[0].reached()
    }

    #[test]
    fn a_rate_may_fall_and_a_time_may_rise_by_a_twentieth() {
        assert_eq!(reached(Unit::PerSecond, 1_000.0, 951.0), Some(true));
        assert_eq!(reached(Unit::PerSecond, 1_000.0, 949.0), Some(false));
        assert_eq!(reached(Unit::Ms, 100.0, 104.9), Some(true));
        assert_eq!(reached(Unit::Ms, 100.0, 105.1), Some(false));
    }

    #[test]
    fn the_samples_of_all_runs_count() {
        let runs = |a: f64, b: f64| [run(Unit::Ms, &[a]), run(Unit::Ms, &[b])];
        let figures = figures(&runs(1.0, 3.0), &runs(2.0, 4.0)).expect("figures");
        assert_eq!(figures[0].ratio(), Some(1.5));
    }

    #[test]
    fn rows_that_are_not_alike_are_not_compared() {
        assert!(figures(&[vec![]], &[run(Unit::Ms, &[1.0])]).is_err());
    }
}
