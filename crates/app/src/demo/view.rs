//! The live view in a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};
use tokio::sync::mpsc;

use super::End;
use super::figures::{Collector, Figures, LaneFigures};
use super::plain::ms;
use crate::shutdown::Asked;

/// How often the view is drawn anew.
const EVERY: Duration = Duration::from_millis(500);
/// How long the keyboard is waited for before looking whether the view has ended.
const KEY_WAIT: Duration = Duration::from_millis(100);
/// Rows of the curve.
const CURVE_ROWS: u16 = 4;
/// Rows of a table besides its content: borders and headings.
const FRAME_ROWS: u16 = 3;
/// Columns in which the stores stand beside each other.
const STORE_COLUMNS: usize = 3;

/// Shows the figures until the demo ends, or `q`, Esc or Ctrl-C is pressed. The terminal is left as it was.
///
/// # Errors
/// When the terminal cannot be drawn on.
pub async fn run(collector: &mut Collector, links: &[String], end: &End, asked: &mut Asked) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let ended = Arc::new(AtomicBool::new(false));
    let (pressed, mut quit) = mpsc::channel(1);
    let keyboard = tokio::task::spawn_blocking({
        let ended = ended.clone();
        move || watch_keyboard(&ended, &pressed)
    });
    let mut tick = tokio::time::interval(EVERY);
    let result = loop {
        tokio::select! {
            _ = tick.tick() => {
                let figures = collector.collect().await;
                if let Err(error) = terminal.draw(|frame| draw(frame, &figures, links)) {
                    break Err(error.into());
                }
            }
            _ = quit.recv() => break Ok(()),
            () = end.wait() => break Ok(()),
            () = asked.wait() => break Ok(()),
        }
    };
    ended.store(true, Ordering::Relaxed);
    let _ = keyboard.await;
    ratatui::restore();
    result
}

/// Blocks; ends with the view, on a key that ends it, or when the keyboard is gone.
fn watch_keyboard(ended: &AtomicBool, pressed: &mpsc::Sender<()>) {
    while !ended.load(Ordering::Relaxed) {
        match event::poll(KEY_WAIT) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        if matches!(event::read(), Ok(Event::Key(key)) if is_end(key)) {
            // Full or closed: the view is ending already.
            let _ = pressed.try_send(());
            return;
        }
    }
}

fn is_end(key: KeyEvent) -> bool {
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn draw(frame: &mut Frame<'_>, figures: &Figures, links: &[String]) {
    let head_rows = links.len() as u16;
    let lane_rows = figures.lanes.len() as u16 + FRAME_ROWS;
    let [head, line, curve, lanes, stores, foot] = Layout::vertical([
        Constraint::Length(head_rows),
        Constraint::Length(1),
        Constraint::Length(CURVE_ROWS),
        Constraint::Length(lane_rows),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(links.iter().map(|l| Line::from(l.as_str())).collect::<Vec<_>>()), head);
    frame.render_widget(Paragraph::new(flow(figures)).bold(), line);
    frame.render_widget(Sparkline::default().data(newest(&figures.curve, curve.width)).style(Color::Green), curve);
    frame.render_widget(lane_table(&figures.lanes), lanes);
    draw_stores(frame, stores, figures);
    frame.render_widget(Paragraph::new("q ends").dim(), foot);
}

/// The newest part of the curve that has room.
fn newest(curve: &[u64], width: u16) -> &[u64] {
    &curve[curve.len().saturating_sub(width.into())..]
}

fn flow(figures: &Figures) -> String {
    let sent = &figures.sent;
    let time =
        sent.simulated.map(|t| format!(", in the stores it is {}", t.strftime("%A %H:%M UTC"))).unwrap_or_default();
    let trouble = sent.trouble.as_ref().map(|t| format!("  !! {t}")).unwrap_or_default();
    format!("{:.0} events/s, {} accepted, {} orders open{time}{trouble}", figures.rate, sent.accepted, sent.open_orders)
}

fn lane_table(lanes: &[LaneFigures]) -> Table<'_> {
    let headings = [
        "",
        "delivered",
        "waiting",
        "retrying",
        "rejected",
        "p50",
        "p99",
        "verified",
        "bad sign.",
        "bad order",
        "state",
    ];
    let widths = [8, 10, 8, 9, 9, 9, 9, 9, 10, 10].map(Constraint::Length);
    Table::new(lanes.iter().map(lane_row), widths.into_iter().chain([Constraint::Min(10)]))
        .header(Row::new(headings).style(Style::new().add_modifier(Modifier::DIM)))
        .block(Block::bordered().title(" integrations "))
}

fn lane_row(lane: &LaneFigures) -> Row<'static> {
    let counts = &lane.counts;
    let mut cells: Vec<Cell<'static>> = vec![Cell::from(lane.name).bold()];
    cells.extend([counts.delivered, lane.waiting, lane.retrying, lane.rejected].map(|n| Cell::from(n.to_string())));
    cells.extend([lane.p50_ms, lane.p99_ms].map(|latency| Cell::from(ms(latency))));
    cells.push(Cell::from(counts.verified.to_string()));
    cells.extend([counts.unverified, counts.out_of_order].map(never));
    let state = if lane.state == "flowing" { Color::Green } else { Color::Yellow };
    cells.push(Cell::from(lane.state.clone()).style(state));
    Row::new(cells)
}

/// A count that should stay 0.
fn never(count: u64) -> Cell<'static> {
    let cell = Cell::from(count.to_string());
    if count == 0 { cell } else { cell.style(Color::Red) }
}

fn draw_stores(frame: &mut Frame<'_>, area: Rect, figures: &Figures) {
    let block = Block::bordered().title(" events by store ");
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let columns = Layout::horizontal([Constraint::Fill(1); STORE_COLUMNS]).split(inside);
    let per_column = figures.stores.len().div_ceil(STORE_COLUMNS).max(1);
    for (stores, column) in figures.stores.chunks(per_column).zip(columns.iter()) {
        let line = |(site, events): &(super::simulate::Site, u64)| {
            let zone = site.timezone.rsplit('/').next().unwrap_or_default().replace('_', " ");
            Line::from(format!("{events:>7}  {} {} ({zone})", site.store_number, site.name))
        };
        frame.render_widget(Paragraph::new(stores.iter().map(line).collect::<Vec<_>>()), *column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::record::Counts;
    use crate::demo::simulate::Simulation;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn figures() -> Figures {
        let sites = Simulation::new(1, 12, "2026-03-14T15:00:00Z".parse().unwrap()).sites().to_vec();
        let lane = |name| LaneFigures {
            name,
            counts: Counts { delivered: 1_234, verified: 1_240, failed: 6, ..Counts::default() },
            state: "flowing".into(),
            p50_ms: Some(2),
            ..LaneFigures::default()
        };
        let stores = sites.into_iter().zip(1..).collect();
        Figures {
            rate: 71.6,
            curve: (0..240).collect(),
            lanes: ["healthy", "slow", "flaky"].map(lane).to_vec(),
            stores,
            ..Figures::default()
        }
    }

    fn drawn(width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let links = ["title".to_owned(), "  API http://127.0.0.1:8080/docs".to_owned()];
        terminal.draw(|frame| draw(frame, &figures(), &links)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_usual_terminal_shows_links_lanes_and_stores() {
        let screen = drawn(120, 30);
        for text in
            ["http://127.0.0.1:8080/docs", "72 events/s", "healthy", "1234", "2 ms", "flowing", "TS0101", "Los Angeles"]
        {
            assert!(screen.contains(text), "{text} in\n{screen}");
        }
    }

    #[test]
    fn a_tiny_terminal_is_drawn_without_harm() {
        for (width, height) in [(1, 1), (20, 5), (80, 12)] {
            drawn(width, height);
        }
    }

    #[test]
    fn q_escape_and_control_c_end_the_view() {
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        assert!(is_end(key(KeyCode::Char('q'), KeyModifiers::NONE)));
        assert!(is_end(key(KeyCode::Esc, KeyModifiers::NONE)));
        assert!(is_end(key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!is_end(key(KeyCode::Char('c'), KeyModifiers::NONE)));
    }
}
