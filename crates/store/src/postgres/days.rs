//! Tables for days: made when they are first written to, dropped whole.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::session::{Broken, Session};
use crate::engine::Cause;

/// Names the lock under which tables are made and dropped; many nodes may want the same one at the same moment.
pub(super) const LOCK: i64 = 0x7469_6c6d;

/// Tables of one kind that are known to be there.
pub(super) struct Known(Mutex<BTreeSet<String>>);

impl Known {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Makes sure that a table like `template` is there, and listed by `list`. In a transaction of its own.
    pub(super) async fn ensure(
        &self,
        session: &mut Session,
        table: &str,
        template: &str,
        list: &str,
    ) -> Result<(), Cause> {
        if self.has(table) {
            return Ok(());
        }
        session.begin().await?;
        session
            .batch(&format!(
                "SELECT pg_advisory_xact_lock({LOCK});
                 CREATE TABLE IF NOT EXISTS {table} (LIKE {template} INCLUDING ALL);
                 {list} ON CONFLICT DO NOTHING"
            ))
            .await?;
        session.commit().await.map_err(Broken::cause)?;
        self.lock().insert(table.to_owned());
        Ok(())
    }

    /// Whether a table is known to be there.
    pub(super) fn has(&self, table: &str) -> bool {
        self.lock().contains(table)
    }

    /// Forgets a table that was dropped.
    pub(super) fn forget(&self, table: &str) {
        self.lock().remove(table);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `2026_11_21`, the end of a day's table names.
pub(super) fn suffix(day: i64) -> String {
    crate::engine::segment::day_name(day).replace('-', "_")
}
