//! Failures put into the durable path on purpose, for chaos tests: `TILLSTREAM_FAULTS=<point>=<failure>:<share>,…` with
//! a point of `log_commit`, `log_committed` or `state_commit`, a failure of `io` (a failing sync: the process ends) or
//! `full` (a full disk), and the share of commits that fail. Such as `log_commit=full:0.2,state_commit=io:0.01`.

use std::sync::Arc;

use anyhow::{Context, bail};
use tillstream_store::sqlite::{Fault, FaultPoint, Faults};

/// The variable that asks for failures.
pub const VARIABLE: &str = "TILLSTREAM_FAULTS";

/// Failures by chance.
#[derive(Debug, PartialEq)]
struct ByChance(Vec<(FaultPoint, Fault, f64)>);

impl Faults for ByChance {
    fn at(&self, point: FaultPoint) -> Option<Fault> {
        let here = self.0.iter().filter(|(p, _, _)| *p == point);
        here.filter(|(_, _, share)| rand::random::<f64>() < *share).map(|(_, fault, _)| *fault).next()
    }
}

/// What the variable asks for; None when it is not set.
///
/// # Errors
/// When it cannot be read: a test that puts no failures would prove nothing.
pub fn from_environment() -> anyhow::Result<Option<Arc<dyn Faults>>> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(None) };
    let faults = parse(&text).with_context(|| format!("{VARIABLE}={text}"))?;
    tracing::warn!(faults = text, "failures are put into the durable path on purpose");
    Ok(Some(Arc::new(faults)))
}

fn parse(text: &str) -> anyhow::Result<ByChance> {
    let one = |part: &str| {
        let (point, rest) = part.split_once('=').context("write <point>=<failure>:<share>")?;
        let (fault, share) = rest.split_once(':').context("write <point>=<failure>:<share>")?;
        let point = match point {
            "log_commit" => FaultPoint::LogCommit,
            "log_committed" => FaultPoint::LogCommitted,
            "state_commit" => FaultPoint::StateCommit,
            other => bail!("\"{other}\" is no point; there are log_commit, log_committed and state_commit"),
        };
        let fault = match fault {
            "io" => Fault::Io,
            "full" => Fault::Full,
            other => bail!("\"{other}\" is no failure; there are io and full"),
        };
        Ok((point, fault, share.parse::<f64>().context("the share is a number from 0 to 1")?))
    };
    Ok(ByChance(text.split(',').map(one).collect::<anyhow::Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_read_and_wrong_ones_refused() {
        let faults = parse("log_commit=full:1,state_commit=io:0").unwrap();
        assert_eq!(faults.at(FaultPoint::LogCommit), Some(Fault::Full));
        assert_eq!((faults.at(FaultPoint::StateCommit), faults.at(FaultPoint::LogCommitted)), (None, None));
        for wrong in ["", "log_commit", "log_commit=full", "nowhere=io:1", "log_commit=fire:1", "log_commit=io:x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
