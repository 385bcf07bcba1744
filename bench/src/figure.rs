//! What a row measured, and whether it reached its bar.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Repeated measurements of one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Series(Vec<f64>);

impl Series {
    /// At least one measurement, all of them finite.
    pub fn new(samples: Vec<f64>) -> Result<Self> {
        ensure!(!samples.is_empty() && samples.iter().all(|sample| sample.is_finite()), "no good samples: {samples:?}");
        Ok(Self(samples))
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Events, rows or deliveries per second.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Millions of bytes.
    Mb,
    /// Bytes.
    Bytes,
    /// Hundredths of one core.
    PercentOfCore,
}

/// What has to be reached, judged by medians.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Subject over baseline, at least.
    RatioAtLeast(f64),
    /// Subject over baseline, at most.
    RatioAtMost(f64),
    /// The subject itself, at most.
    AtMost(f64),
    /// Told for orientation only.
    None,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What the numbers count.
    pub unit: Unit,
    /// The hub.
    pub subject: Series,
    /// What it is compared with.
    pub baseline: Option<Series>,
    /// What has to be reached.
    pub bar: Bar,
    /// What a reader has to know besides; may be empty.
    pub note: String,
}

impl Figure {
    /// A figure without a baseline.
    pub fn alone(what: impl Into<String>, unit: Unit, subject: Vec<f64>, bar: Bar) -> Result<Self> {
        let subject = Series::new(subject)?;
        Ok(Self { what: what.into(), unit, subject, baseline: None, bar, note: String::new() })
    }

    /// A figure beside its baseline.
    pub fn versus(what: impl Into<String>, unit: Unit, pairs: Pairs, bar: Bar) -> Result<Self> {
        let figure = Self::alone(what, unit, pairs.subject, bar)?;
        Ok(Self { baseline: Some(Series::new(pairs.baseline)?), ..figure })
    }

    /// The same with a note.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Median of the subject over median of the baseline.
    pub fn ratio(&self) -> Option<f64> {
        let baseline = self.baseline.as_ref()?.median();
        (baseline > 0.0).then(|| self.subject.median() / baseline)
    }

    /// Whether the bar was reached; `None` where there is none.
    pub fn reached(&self) -> Option<bool> {
        match self.bar {
            Bar::RatioAtLeast(bar) => Some(self.ratio()? >= bar),
            Bar::RatioAtMost(bar) => Some(self.ratio()? <= bar),
            Bar::AtMost(bar) => Some(self.subject.median() <= bar),
            Bar::None => None,
        }
    }
}

/// Measurements of baseline and subject, taken in turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// The baseline's.
    pub baseline: Vec<f64>,
    /// The subject's.
    pub subject: Vec<f64>,
}

/// Measures baseline and subject in turn, `runs` times each, so that a machine that changes its mood
/// changes it for both. Stops at the first error.
pub async fn alternate(
    runs: usize,
    mut baseline: impl AsyncFnMut() -> Result<f64>,
    mut subject: impl AsyncFnMut() -> Result<f64>,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for _ in 0..runs {
        pairs.baseline.push(baseline().await?);
        pairs.subject.push(subject().await?);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versus(baseline: f64, subject: f64, bar: Bar) -> Figure {
        let pairs = Pairs { baseline: vec![baseline], subject: vec![subject] };
        Figure::versus("x", Unit::PerSecond, pairs, bar).expect("a figure")
    }

    #[test]
    fn a_median_is_not_moved_by_one_outlier() {
        let series = Series::new(vec![1_000.0, 2.0, 1.0, 3.0, 2.5]).expect("a series");
        assert_eq!((series.median(), series.min(), series.max()), (2.5, 1.0, 1_000.0));
        assert_eq!(Series::new(vec![1.0, 2.0]).expect("a series").median(), 1.5);
    }

    #[test]
    fn a_bar_is_reached_at_its_very_value() {
        assert_eq!(versus(100.0, 50.0, Bar::RatioAtLeast(0.5)).reached(), Some(true));
        assert_eq!(versus(100.0, 49.9, Bar::RatioAtLeast(0.5)).reached(), Some(false));
        assert_eq!(versus(10.0, 12.0, Bar::RatioAtMost(1.2)).reached(), Some(true));
        assert_eq!(versus(10.0, 12.1, Bar::RatioAtMost(1.2)).reached(), Some(false));
        assert_eq!(versus(1.0, 200.0, Bar::AtMost(200.0)).reached(), Some(true));
        assert_eq!(versus(1.0, 1.0, Bar::None).reached(), None);
    }

    #[test]
    fn samples_that_are_no_numbers_are_refused() {
        assert!(Series::new(vec![]).is_err());
        assert!(Series::new(vec![1.0, f64::NAN]).is_err());
    }

    #[tokio::test]
    async fn baseline_and_subject_take_turns() {
        let order = std::cell::RefCell::new(String::new());
        let step = async |name: char| {
            order.borrow_mut().push(name);
            Ok(1.0)
        };
        let pairs = alternate(3, async || step('A').await, async || step('B').await).await.expect("pairs");
        assert_eq!((order.borrow().as_str(), pairs.subject.len()), ("ABABAB", 3));
    }
}
