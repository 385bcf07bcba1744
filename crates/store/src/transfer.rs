//! Moving a hub from one engine to another.

use std::path::Path;

use crate::engine::transfer::Part;
use crate::engine::{Cause, tried};
use crate::postgres::import::Import;
use crate::sqlite::export::{Export, Source};
use crate::{Result, postgres, sqlite};

/// How far a move has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What is being moved, such as `events 30d/2026-11-21`.
    pub part: String,
    /// Bytes that have been read, about …
    pub done: u64,
    /// … of so many.
    pub total: u64,
}

/// How much was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Companies.
    pub companies: u64,
    /// Integrations.
    pub integrations: u64,
    /// Events in the log.
    pub events: u64,
    /// Attempts.
    pub attempts: u64,
}

/// Moves what a stopped embedded hub has in its folder into an empty database: positions, cursors, ids, everything.
///
/// The folder stays as it is but for a mark with which no hub opens it any more: two hubs that go on from the same
/// state would deliver everything twice. A move that broke off is begun anew when it is repeated; until one has
/// finished, no hub opens the database.
///
/// # Errors
/// When a hub has the folder open, the database belongs to a hub already or was made with another master key, or either
/// of them fails.
pub async fn to_postgres(
    folder: &Path,
    from: sqlite::Options,
    to: postgres::Options,
    told: &mut (dyn FnMut(Progress) + Send),
) -> Result<Moved> {
    let export = tried(&format!("open the data folder {}", folder.display()), Export::open(folder, &from))?;
    let mut import = tried("open the database", Import::begin(&to).await)?;
    let sources = tried("read the data folder", export.parts())?;
    // Once and for all: a file may grow by what its write-ahead log has while it is read.
    let sizes: Vec<u64> = sources.iter().map(|s| s.bytes()).collect();
    let (mut moved, mut before, total) = (Moved::default(), 0, sizes.iter().sum());
    for (source, size) in sources.into_iter().zip(sizes) {
        let (part, mut within) = (source.part, 0);
        let mut progress = |bytes: u64| {
            within += bytes;
            told(Progress { part: part.to_string(), done: before + within.min(size), total });
        };
        progress(0);
        let rows = tried(&format!("move {part}"), copy(&mut import, &source, &mut progress).await)?;
        before += size;
        match part {
            Part::State("companies") => moved.companies += rows,
            Part::State("integrations") => moved.integrations += rows,
            Part::Events(_) => moved.events += rows,
            Part::Attempts(_) => moved.attempts += rows,
            Part::State(_) | Part::Ids(_) => {}
        }
    }
    let ends = tried("look up the ends of the logs", export.ends().await)?;
    tried("finish the move", import.finish(&ends).await)?;
    tried("mark the data folder as moved", sqlite::mark_moved(folder))?;
    tried("open the database for hubs", import.open_for_hubs().await)?;
    Ok(moved)
}

async fn copy(import: &mut Import, source: &Source, told: &mut (dyn FnMut(u64) + Send)) -> Result<u64, Cause> {
    let (stream, reading) = source.read()?;
    let taken = import.take(source.part, stream, told).await;
    // A broken stream looks like its end to the side that takes it; what broke it is told by the side that reads.
    match reading.await? {
        Err(cause) if taken.is_ok() => Err(cause),
        _ => taken,
    }
}
