//! The demo as lines of text.

use std::time::Duration;

use super::End;
use super::figures::{Collector, Figures, LaneFigures};
use crate::output;
use crate::shutdown::Asked;

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(3);

/// Prints a line every few seconds until the demo ends.
///
/// # Errors
/// When standard output cannot be written.
pub async fn run(collector: &mut Collector, end: &End, asked: &mut Asked) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(EVERY);
    tick.tick().await;
    loop {
        tokio::select! {
            _ = tick.tick() => output::line(line(&collector.collect().await, end.elapsed()))?,
            () = end.wait() => return Ok(()),
            () = asked.wait() => return Ok(()),
        }
    }
}

/// What it all came to.
pub fn summary(figures: &Figures) -> String {
    let mut lines = vec![format!("{} events accepted, {} refused", figures.sent.accepted, figures.sent.refused)];
    lines.extend(figures.lanes.iter().map(|lane| format!("  {:<8} {}", lane.name, in_full(lane))));
    lines.join("\n")
}

fn line(figures: &Figures, elapsed: Duration) -> String {
    let lanes: Vec<String> = figures.lanes.iter().map(|lane| format!("{}: {}", lane.name, in_short(lane))).collect();
    let trouble = figures.sent.trouble.as_ref().map(|t| format!(" | {}", output::one_line(t))).unwrap_or_default();
    format!(
        "{:>4} s  {:.0} events/s, {} accepted | {}{trouble}",
        elapsed.as_secs(),
        figures.rate,
        figures.sent.accepted,
        lanes.join(" | "),
    )
}

fn in_short(lane: &LaneFigures) -> String {
    format!(
        "{} delivered, {} waiting, {} retrying, p99 {}, {}",
        lane.counts.delivered,
        lane.waiting,
        lane.retrying,
        ms(lane.p99_ms),
        lane.state
    )
}

fn in_full(lane: &LaneFigures) -> String {
    let counts = &lane.counts;
    format!(
        "{} delivered, {} failed attempts, {} waiting, {} retrying, {} rejected; accepted to received p50 {}, p99 {}; \
         {} signatures verified, {} wrong; {} out of order",
        counts.delivered,
        counts.failed,
        lane.waiting,
        lane.retrying,
        lane.rejected,
        ms(lane.p50_ms),
        ms(lane.p99_ms),
        counts.verified,
        counts.unverified,
        counts.out_of_order,
    )
}

/// Milliseconds as people read them.
pub fn ms(value: Option<u32>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10_000 => format!("{ms} ms"),
        Some(ms) => format!("{} s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::record::Counts;

    fn figures() -> Figures {
        let counts = Counts { delivered: 90, failed: 4, verified: 94, unverified: 0, out_of_order: 0 };
        let lane = LaneFigures {
            name: "flaky",
            counts,
            waiting: 3,
            retrying: 2,
            state: "flowing".into(),
            p50_ms: Some(2),
            p99_ms: Some(12_345),
            rejected: 0,
        };
        Figures { rate: 71.6, lanes: vec![lane], ..Figures::default() }
    }

    #[test]
    fn a_line_says_what_flows() {
        let line = line(&figures(), Duration::from_secs(12));
        assert_eq!(
            line,
            "  12 s  72 events/s, 0 accepted | flaky: 90 delivered, 3 waiting, 2 retrying, p99 12 s, flowing"
        );
    }

    #[test]
    fn the_summary_says_whether_the_promises_were_kept() {
        let mut figures = figures();
        assert!(figures.kept_every_promise());
        assert!(summary(&figures).ends_with("94 signatures verified, 0 wrong; 0 out of order"));
        figures.lanes[0].counts.out_of_order = 1;
        assert!(!figures.kept_every_promise());
    }
}
