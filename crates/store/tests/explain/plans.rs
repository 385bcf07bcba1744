//! The plans of the statements that the engine really runs.
//!
//! The server's own module `auto_explain` says after each statement how it was carried out, as a notice on the same
//! connection and before the statement is answered. The engine traces notices; here they are caught.

use std::fmt::{Debug, Display, Formatter, Result, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// What connections have to ask for, as the end of a database's address.
pub const OPTIONS: &str = "?options=-c%20session_preload_libraries%3Dauto_explain\
    %20-c%20auto_explain.log_min_duration%3D0\
    %20-c%20auto_explain.log_analyze%3Don\
    %20-c%20auto_explain.log_timing%3Doff\
    %20-c%20auto_explain.log_buffers%3Don\
    %20-c%20auto_explain.log_format%3Djson\
    %20-c%20auto_explain.log_level%3Dnotice";

/// What a node does by itself every few seconds: it says and looks how far the logs are.
const BACKGROUND: [&str; 3] =
    ["SELECT pg_notify(", "SELECT company, head, closed FROM log_heads", "SELECT company, seq FROM log_erased"];

/// One statement and how it was carried out.
pub struct Plan {
    statement: String,
    root: Value,
}

impl Plan {
    fn parse(notice: &str) -> Option<Self> {
        let json = &notice[notice.find("plan:\n")?..];
        let mut said: Value = serde_json::from_str(&json[json.find('{')?..]).expect("a plan");
        let statement = said["Query Text"].as_str().expect("a statement").to_owned();
        Some(Self { statement, root: said["Plan"].take() })
    }

    /// Rows of tables that were read, whatever became of them. A look that finds nothing counts as one.
    pub fn rows(&self) -> u64 {
        nodes(&self.root).iter().map(|(_, node)| read(node)).sum()
    }

    /// Blocks of tables and indexes that were looked at: also counts what an index walks over without finding it.
    pub fn blocks(&self) -> u64 {
        ["Shared Hit Blocks", "Shared Read Blocks"].iter().map(|kind| number(&self.root, kind) as u64).sum()
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "    {}", self.statement.split_whitespace().collect::<Vec<_>>().join(" "))?;
        for (depth, node) in nodes(&self.root) {
            write!(f, "    {:1$}", "", 2 * depth + 2)?;
            for (before, key) in [("", "Node Type"), (" using ", "Index Name"), (" on ", "Relation Name")] {
                node[key].as_str().map_or(Ok(()), |text| write!(f, "{before}{text}"))?;
            }
            write!(f, ": {} rows", read(node))?;
            for key in ["Index Cond", "Filter"] {
                node[key].as_str().map_or(Ok(()), |text| write!(f, ", {key} {text:.200}"))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A plan's nodes, each with its depth.
fn nodes(root: &Value) -> Vec<(usize, &Value)> {
    let below = root["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once((0, root)).chain(below.map(|(depth, node)| (depth + 1, node))).collect()
}

/// Rows that a node itself read from a table.
fn read(node: &Value) -> u64 {
    if node["Relation Name"].is_null() || !node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan")) {
        return 0;
    }
    let each = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"];
    let each: f64 = each.iter().map(|key| number(node, key)).sum();
    (each.max(1.0) * number(node, "Actual Loops")).ceil() as u64
}

fn number(node: &Value, key: &str) -> f64 {
    node[key].as_f64().unwrap_or_default()
}

/// Catches plans on the thread that made it, for as long as it is there.
pub struct Plans {
    caught: Arc<Mutex<Vec<Plan>>>,
    _guard: DefaultGuard,
}

impl Plans {
    /// From now on.
    pub fn catch() -> Self {
        let caught = Arc::default();
        let guard = tracing::subscriber::set_default(Catcher(Arc::clone(&caught)));
        Self { caught, _guard: guard }
    }

    /// What was caught since the last time.
    pub fn take(&self) -> Vec<Plan> {
        let mut plans = std::mem::take(&mut *self.caught.lock().unwrap());
        plans.retain(|plan| !BACKGROUND.iter().any(|text| plan.statement.contains(text)));
        plans
    }
}

struct Catcher(Arc<Mutex<Vec<Plan>>>);

impl Subscriber for Catcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("tillstream_store::postgres")
    }

    fn event(&self, event: &Event<'_>) {
        let mut notice = Notice(String::new());
        event.record(&mut notice);
        self.0.lock().unwrap().extend(Plan::parse(&notice.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The field `notice` of an event.
struct Notice(String);

impl Visit for Notice {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "notice" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
