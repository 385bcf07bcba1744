//! The embedded engine: SQLite files in one folder of this machine.
//!
//! ```text
//! lock                         held by the hub; keeps a second one out
//! state.db                     everything that is not an event
//! attempts/2026-11-21.db       attempts of a day, dropped by unlink
//! log/meta.db                  where each company's events are; heads and floors of what was dropped
//! log/30d/2026-11-21.db        events of a retention class and a day, dropped by unlink
//! index/2026-11-21.db          what the events of a day are found by; derived, may be removed while no hub runs
//! moved                        everything was moved to another engine; no hub opens the folder any more
//! ```

mod backup;
mod conn;
mod copy;
mod disk;
mod epochs;
mod examine;
pub(crate) mod export;
mod fault;
mod index;
mod log;
mod pool;
mod restore;
mod rotate;
mod state;
mod wal;

use std::path::Path;
use std::sync::Arc;

use crate::nodes::Alone;
use crate::{Clock, MasterKey, State, StoreError, Stores};

pub use crate::engine::{DEFAULT_QUEUE_BYTES, DEFAULT_TAIL_BYTES};
pub use backup::{Backed, backup};
pub use examine::{Examined, examine};
pub use fault::{Fault, FaultPoint, Faults, OnFatal, exit_on_fatal};
pub use restore::{Restored, restore};
pub use rotate::rotate_key;

/// Below this many free bytes the disk counts as full.
pub const DEFAULT_MIN_FREE_BYTES: u64 = 256 << 20;

/// The file of the state.
const STATE: &str = "state.db";
/// The file that marks a folder whose content has moved.
const MOVED: &str = "moved";

/// How the engine is opened.
#[derive(Clone)]
pub struct Options {
    /// Tells the time.
    pub clock: Clock,
    /// Seals secrets. The folder remembers which key it was made with and opens with no other.
    pub master_key: MasterKey,
    /// [`DEFAULT_TAIL_BYTES`].
    pub tail_bytes: usize,
    /// [`DEFAULT_QUEUE_BYTES`].
    pub queue_bytes: usize,
    /// [`DEFAULT_MIN_FREE_BYTES`].
    pub min_free_bytes: u64,
    /// Puts failures into the durable path, for chaos tests.
    pub faults: Option<Arc<dyn Faults>>,
    /// Ends the process when nobody can tell what is on disk.
    pub on_fatal: OnFatal,
}

impl Options {
    /// The defaults.
    pub fn new(clock: Clock, master_key: MasterKey) -> Self {
        Self {
            clock,
            master_key,
            tail_bytes: DEFAULT_TAIL_BYTES,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            min_free_bytes: DEFAULT_MIN_FREE_BYTES,
            faults: None,
            on_fatal: exit_on_fatal(),
        }
    }
}

/// Opens the engine on a folder, which is made when it is missing. One process at a time may have it open; what is
/// dropped without further ado is as durable as what was answered.
pub fn open(folder: &Path, options: Options) -> Result<Stores, StoreError> {
    let tried = |cause: pool::Cause| failed("open", folder, &cause);
    conn::make_folder(folder).map_err(|e| tried(e.into()))?;
    refuse_moved(folder).map_err(tried)?;
    let lock = Arc::new(lock(folder).map_err(tried)?);
    let state = state::SqliteState::open(folder, &options, Some(lock.clone())).map_err(tried)?;
    let log = log::SqliteLog::open(folder, &options, lock).map_err(tried)?;
    let index = index::SqliteIndex::open(folder, log.catalog(), log.closed()).map_err(tried)?;
    let epochs = Arc::new(epochs::load(&folder.join(STATE)).map_err(tried)?);
    Ok(Stores {
        index: Arc::new(index),
        log: Arc::new(log),
        state: Arc::new(state),
        nodes: Arc::new(Alone::default()),
        epochs,
    })
}

/// Opens only the state, also while a hub has the folder open: for the command line, to make companies and keys.
pub fn open_state(folder: &Path, options: Options) -> Result<Arc<dyn State>, StoreError> {
    let tried = |cause: pool::Cause| failed("open the state in", folder, &cause);
    conn::make_folder(folder).map_err(|e| tried(e.into()))?;
    refuse_moved(folder).map_err(tried)?;
    Ok(Arc::new(state::SqliteState::open(folder, &options, None).map_err(tried)?))
}

/// Marks a folder whose content has moved to another engine.
pub(crate) fn mark_moved(folder: &Path) -> Result<(), pool::Cause> {
    let file = std::fs::File::create(folder.join(MOVED))?;
    file.sync_all()?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

fn refuse_moved(folder: &Path) -> Result<(), pool::Cause> {
    let mark = folder.join(MOVED);
    match mark.exists() {
        true => Err(format!(
            "everything in it was moved to a database, and a hub that goes on here would deliver again; \
             to use it all the same, remove the file {}",
            mark.display()
        )
        .into()),
        false => Ok(()),
    }
}

fn failed(verb: &str, folder: &Path, cause: &pool::Cause) -> StoreError {
    StoreError::new(format!("{verb} {}", folder.display()), cause.to_string())
}

fn lock(folder: &Path) -> Result<std::fs::File, pool::Cause> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err("another process has it open".into()),
        Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
    }
}
