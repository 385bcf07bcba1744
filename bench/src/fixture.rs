//! Data folders that are made once and kept between runs, under `<work>/fixtures`. A folder counts only with
//! its `complete` mark, so that one that was broken off is made again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::harness::Bench;

/// Space that one stored 1 KB event takes at most while it is written, bytes.
pub const BYTES_PER_ROW: u64 = 3_000;

const MARK: &str = "complete";

/// Fixtures that cannot be made through the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// 1,000 companies with ten running integrations each and no events.
    Idle,
    /// 10,000 companies with external ids `c00000` to `c09999` that share the stored events, taking turns;
    /// each with a stopped integration `lane` whose cursor has its last 100 events before it.
    Companies,
    /// The first company with an integration `bench` that has as many attempts, and a thousandth of them rejected.
    Attempts,
}

impl Prepared {
    /// The folder's name for this many rows.
    pub fn folder_name(self, rows: u64) -> String {
        match self {
            Self::Idle => "idle".to_owned(),
            Self::Companies => format!("companies-{rows}"),
            Self::Attempts => format!("attempts-{rows}"),
        }
    }
}

/// The folder of a fixture, or `None` if it is not there or was broken off.
pub fn find(work: &Path, which: Prepared, rows: u64) -> Option<PathBuf> {
    let folder = root(work).join(which.folder_name(rows));
    is_complete(&folder).then_some(folder)
}

/// A folder with `rows` events of one company, filled through the API of a hub if it is not there yet.
/// Errors when the disk has less room than [`BYTES_PER_ROW`] for each.
pub async fn stored_log(bench: &Bench, rows: u64) -> Result<PathBuf> {
    let folder = root(&bench.options.work).join(format!("log-{rows}"));
    if !is_complete(&folder) {
        make_log(bench, &folder, rows).await.with_context(|| format!("making {}", folder.display()))?;
    }
    Ok(folder)
}

async fn make_log(bench: &Bench, folder: &Path, rows: u64) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    check_room(folder, rows)?;
    bench.say(&format!("filling {} with {rows} events", folder.display()));
    let hub = bench.hub_on(folder).await?;
    bench.fill(&hub, rows).await?;
    hub.stop().await?;
    Ok(std::fs::write(folder.join(MARK), b"")?)
}

fn check_room(folder: &Path, rows: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let (free, needed) = (disk.f_bavail * disk.f_frsize, rows * BYTES_PER_ROW);
    ensure!(free >= needed, "{free} bytes are free and {rows} events need {needed}; give fewer --rows");
    Ok(())
}

fn is_complete(folder: &Path) -> bool {
    folder.join(MARK).exists()
}

fn root(work: &Path) -> PathBuf {
    work.join("fixtures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_broken_off_is_not_found() {
        let work = tempfile::tempdir().expect("a folder");
        let folder = root(work.path()).join("companies-500");
        std::fs::create_dir_all(&folder).expect("made");
        assert_eq!(find(work.path(), Prepared::Companies, 500), None);
        std::fs::write(folder.join(MARK), b"").expect("marked");
        assert_eq!(find(work.path(), Prepared::Companies, 500), Some(folder));
        assert_eq!(find(work.path(), Prepared::Companies, 501), None);
    }

    #[test]
    fn more_rows_than_the_disk_holds_are_refused() {
        let work = tempfile::tempdir().expect("a folder");
        assert!(check_room(work.path(), 1).is_ok());
        assert!(check_room(work.path(), u64::MAX / BYTES_PER_ROW).is_err());
    }
}
