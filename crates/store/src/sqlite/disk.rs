//! How much room the disk has.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Room;

/// How long an answer of the file system is good for.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// Knows whether the disk is nearly full.
pub(super) struct Disk {
    folder: PathBuf,
    min_free_bytes: u64,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Disk {
    /// Of the file system that holds this folder; below `min_free_bytes` it counts as full.
    pub(super) fn new(folder: &Path, min_free_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), min_free_bytes, last: Mutex::new(None) }
    }

    /// Whether less than the least is free. Asks the file system about once a second.
    pub(super) fn is_full(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, full)) if at.elapsed() < GOOD_FOR => full,
            _ => {
                let full = self.room().is_some_and(|room| room.free < self.min_free_bytes);
                *last = Some((Instant::now(), full));
                full
            }
        }
    }

    /// None when the file system does not tell: that is no reason to refuse events.
    pub(super) fn room(&self) -> Option<Room> {
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(Room { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_below_its_least_free_bytes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Disk::new(dir.path(), 0).is_full());
        assert!(Disk::new(dir.path(), u64::MAX).is_full());
        assert!(!Disk::new(&dir.path().join("gone"), u64::MAX).is_full());
        let room = Disk::new(dir.path(), 0).room().unwrap();
        assert!(room.free <= room.total && room.total > 0, "{room:?}");
    }
}
