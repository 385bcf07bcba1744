//! Looking at a folder without opening it as a hub does.

use std::path::Path;

use super::pool::Cause;
use super::{STATE, backup, conn, epochs, refuse_moved};
use crate::{MasterKey, Result, StoreError};

/// What can be told of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The log's epoch.
    pub epoch: u32,
    /// Whether the key opens its secrets, and if not, which one does.
    pub key: Result<(), String>,
    /// Whether its tables are of the version that this program works with; opening it would change them otherwise.
    pub is_current: bool,
}

/// Looks at a folder, also while a hub runs on it. None when there is no hub's data in it.
///
/// # Errors
/// When its state cannot be read, or was moved to another engine.
pub fn examine(folder: &Path, key: &MasterKey) -> Result<Option<Examined>> {
    let file = folder.join(STATE);
    if !file.is_file() {
        return Ok(None);
    }
    let look = || -> Result<Examined, Cause> {
        refuse_moved(folder)?;
        let state = conn::open_reader(&file)?;
        let key = key.known(backup::key_mark(&state)?).map(drop).map_err(|e| e.to_string());
        let version: usize = state.pragma_query_value(None, "user_version", |r| r.get(0))?;
        let is_current = version == super::state::SCHEMA.migrations.len();
        Ok(Examined { epoch: epochs::of(&state)?.current(), key, is_current })
    };
    look().map(Some).map_err(|cause| StoreError::new(format!("look at {}", folder.display()), cause.to_string()))
}
