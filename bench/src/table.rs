//! The table in the terminal and the same as JSON.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::figure::{Bar, Figure, Series, Unit};

const HEADINGS: [&str; 7] = ["Row", "What", "Hub", "Baseline", "Ratio", "Bar", ""];
const GAP: &str = "  ";

/// What became of one row.
pub struct RowResult {
    /// The row's name.
    pub name: &'static str,
    /// Its figures, or why there are none.
    pub outcome: Outcome,
}

/// Figures, or why there are none.
pub enum Outcome {
    /// It ran.
    Figures(Vec<Figure>),
    /// It broke; the error.
    Failed(String),
}

/// The table, aligned for a terminal, with notes below it.
pub fn render(results: &[RowResult]) -> String {
    let lines: Vec<[String; 7]> = results.iter().flat_map(lines).collect();
    let head = HEADINGS.map(str::to_owned);
    let widths = widths(std::iter::once(&head).chain(&lines));
    let mut text = String::new();
    for line in std::iter::once(&head).chain(&lines) {
        text.push_str(&aligned(line, &widths));
    }
    for note in notes(results) {
        text.push_str(&note);
    }
    text
}

/// Writes every sample to `path`.
pub fn write_json(path: &Path, results: &[RowResult]) -> Result<()> {
    let rows: Vec<Value> = results.iter().map(row_json).collect();
    let text = serde_json::to_string_pretty(&json!({ "rows": rows }))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn row_json(result: &RowResult) -> Value {
    match &result.outcome {
        Outcome::Figures(figures) => {
            let figures: Vec<Value> = figures.iter().map(figure_json).collect();
            json!({"row": result.name, "figures": figures})
        }
        Outcome::Failed(error) => json!({"row": result.name, "failed": error}),
    }
}

fn figure_json(figure: &Figure) -> Value {
    let mut value = json!(figure);
    value["ratio"] = json!(figure.ratio());
    value["reached"] = json!(figure.reached());
    value
}

fn lines(result: &RowResult) -> Vec<[String; 7]> {
    match &result.outcome {
        Outcome::Figures(figures) => figures.iter().map(|figure| line(result.name, figure)).collect(),
        Outcome::Failed(_) => vec![bare(result.name, "FAILED")],
    }
}

fn bare(name: &str, word: &str) -> [String; 7] {
    [name, "", "", "", "", "", word].map(str::to_owned)
}

fn line(name: &str, figure: &Figure) -> [String; 7] {
    let dash = || "–".to_owned();
    [
        name.to_owned(),
        figure.what.clone(),
        series(&figure.subject, figure.unit),
        figure.baseline.as_ref().map_or_else(dash, |baseline| series(baseline, figure.unit)),
        figure.ratio().map_or_else(dash, percent),
        bar(figure.bar, figure.unit),
        match figure.reached() {
            Some(true) => "reached".to_owned(),
            Some(false) => "MISSED".to_owned(),
            None => dash(),
        },
    ]
}

fn series(series: &Series, unit: Unit) -> String {
    let (low, high) = (number(series.min(), unit), number(series.max(), unit));
    format!("{}{} [{low} – {high}]", number(series.median(), unit), suffix(unit))
}

fn bar(bar: Bar, unit: Unit) -> String {
    match bar {
        Bar::RatioAtLeast(ratio) => format!("≥ {}", percent(ratio)),
        Bar::RatioAtMost(ratio) => format!("≤ {}", percent(ratio)),
        Bar::AtMost(value) => format!("≤ {}{}", number(value, unit), suffix(unit)),
        Bar::None => "–".to_owned(),
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

fn suffix(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "/s",
        Unit::Ms => " ms",
        Unit::Mb => " MB",
        Unit::Bytes => " B",
        Unit::PercentOfCore => " %",
    }
}

fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond | Unit::Bytes => grouped(value.round() as u64),
        Unit::Mb => format!("{value:.1}"),
        Unit::Ms | Unit::PercentOfCore => format!("{value:.2}"),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn widths<'a>(lines: impl Iterator<Item = &'a [String; 7]>) -> [usize; 7] {
    lines.fold([0; 7], |mut widths, line| {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
        widths
    })
}

fn aligned(line: &[String; 7], widths: &[usize; 7]) -> String {
    let mut text = String::new();
    for (cell, width) in line.iter().zip(widths) {
        // Writing to a string cannot fail.
        _ = write!(text, "{cell:<width$}{GAP}");
    }
    format!("{}\n", text.trim_end())
}

fn notes(results: &[RowResult]) -> Vec<String> {
    results.iter().flat_map(row_notes).collect()
}

fn row_notes(result: &RowResult) -> Vec<String> {
    let figures = match &result.outcome {
        Outcome::Failed(error) => return vec![format!("\n{}: failed: {error}", result.name)],
        Outcome::Figures(figures) => figures,
    };
    let told = figures.iter().filter(|figure| !figure.note.is_empty());
    told.map(|figure| format!("\n{}, {}: {}", result.name, figure.what, figure.note)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Pairs;

    fn results() -> Vec<RowResult> {
        let pairs = Pairs { baseline: vec![50_000.0, 48_000.0, 52_000.0], subject: vec![24_000.0, 25_500.0, 27_000.0] };
        let ingest = Figure::versus("events", Unit::PerSecond, pairs, Bar::RatioAtLeast(0.5)).expect("a figure");
        let p99 = Figure::alone("p99", Unit::Ms, vec![9.0, 12.346, 14.0], Bar::AtMost(10.0)).expect("a figure");
        let plain = Figure::alone("peak", Unit::Mb, vec![187.25], Bar::None).expect("a figure");
        vec![
            RowResult { name: "ingest", outcome: Outcome::Figures(vec![ingest]) },
            RowResult { name: "latency", outcome: Outcome::Figures(vec![p99.note("open loop"), plain]) },
            RowResult { name: "start", outcome: Outcome::Failed("the hub ended".to_owned()) },
        ]
    }

    #[test]
    fn the_table_is_aligned_and_says_what_was_missed() {
        insta::assert_snapshot!(render(&results()));
    }

    #[test]
    fn the_json_carries_every_sample_with_ratio_and_verdict() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bench.json");
        write_json(&path, &results()).expect("written");
        let read: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        let ingest = &read["rows"][0]["figures"][0];
        assert_eq!(ingest["subject"], json!([24_000.0, 25_500.0, 27_000.0]));
        assert_eq!((&ingest["ratio"], &ingest["reached"]), (&json!(0.51), &json!(true)));
        assert_eq!(read["rows"][2]["failed"], "the hub ended");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
