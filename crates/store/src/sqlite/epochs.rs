//! The log's epochs, beside the state: a restore begins a new one while nothing else has the folder open.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use tillstream_model::Epochs;

use super::conn::open_reader;
use super::pool::Cause;

/// As the state's file has them.
pub(super) fn load(state: &Path) -> Result<Epochs, Cause> {
    of(&open_reader(state)?)
}

/// As stored; a log that was never restored has none stored.
pub(super) fn of(state: &Connection) -> Result<Epochs, Cause> {
    let sql = "SELECT value FROM meta WHERE name = 'epochs'";
    let stored: Option<String> = state.query_row(sql, [], |r| r.get(0)).optional()?;
    Ok(stored.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
}

/// Stores them.
pub(super) fn save(state: &Connection, epochs: &Epochs) -> Result<(), Cause> {
    let sql = "INSERT INTO meta VALUES ('epochs', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1";
    state.execute(sql, [serde_json::to_string(epochs)?])?;
    Ok(())
}
