//! Segments: one file for each retention class and UTC day of acceptance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tillstream_model::{CompanyNo, Seq};

use crate::Retention;
pub(in crate::sqlite) use crate::engine::segment::SegmentId;
use crate::engine::segment::parse_day;
use crate::sqlite::conn::{Schema, make_folder};
use crate::sqlite::pool::Cause;

/// Bits of a row's key that hold the seq; the company's number is above them.
pub(super) const SEQ_BITS: u32 = 40;
/// Bytes of a page: seven events of 1 KB and what the tree needs.
const PAGE_BYTES: u32 = 8_192;

/// The schema of a segment.
pub(super) const SCHEMA: Schema = Schema {
    what: "this log segment",
    page_bytes: PAGE_BYTES,
    synced: true,
    cache_kib: 8 << 10,
    migrations: &[include_str!("../schema/log_1.sql"), include_str!("../schema/log_2.sql")],
};

/// The key of a position's row.
pub(super) fn pos(company: CompanyNo, seq: Seq) -> i64 {
    i64::from(company.0) << SEQ_BITS | seq.min((1 << SEQ_BITS) - 1) as i64
}

/// The seq in a row's key.
pub(super) fn seq_of(pos: i64) -> Seq {
    pos as u64 & ((1 << SEQ_BITS) - 1)
}

/// The company in a row's key.
pub(super) fn company_of(pos: i64) -> CompanyNo {
    CompanyNo((pos >> SEQ_BITS) as u32)
}

/// A company's part of a segment: seqs of other segments may lie between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The segment.
    pub(super) segment: SegmentId,
    /// The company's first seq in it.
    pub(super) first: Seq,
    /// The company's last seq in it.
    pub(super) last: Seq,
}

/// Which segments there are, and whether the directory lists their spans.
pub(in crate::sqlite) struct Catalog {
    /// The folder of the log.
    pub(super) folder: PathBuf,
    listed: Mutex<BTreeMap<SegmentId, bool>>,
    turn: Mutex<()>,
}

impl Catalog {
    /// Looks into the folder; `listed` tells which segments the directory lists.
    pub(super) fn open(folder: &Path, listed: &[SegmentId]) -> Result<Self, Cause> {
        let mut found = BTreeMap::new();
        for class in Retention::ALL {
            let sub = folder.join(format!("{}d", class.days()));
            make_folder(&sub)?;
            for entry in std::fs::read_dir(&sub)? {
                let name = entry?.file_name();
                let day = name.to_str().and_then(|n| n.strip_suffix(".db")).and_then(parse_day);
                if let Some(id) = day.map(|day| SegmentId { day, class }) {
                    found.insert(id, listed.contains(&id));
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), listed: Mutex::new(found), turn: Mutex::default() })
    }

    /// To be held while a segment is written to, so that the writer and a purge do not poll for each other.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a segment's file is.
    pub(super) fn path(&self, id: SegmentId) -> PathBuf {
        self.folder.join(format!("{}.db", id.name()))
    }

    /// All segments, oldest first.
    pub(in crate::sqlite) fn all(&self) -> Vec<SegmentId> {
        self.lock().keys().copied().collect()
    }

    /// The segments that the directory does not list, oldest first.
    pub(super) fn unlisted(&self) -> Vec<SegmentId> {
        self.lock().iter().filter(|(_, listed)| !**listed).map(|(id, _)| *id).collect()
    }

    /// Whether there is such a segment: None, or whether the directory lists it.
    pub(super) fn get(&self, id: SegmentId) -> Option<bool> {
        self.lock().get(&id).copied()
    }

    /// Adds a segment or notes whether the directory lists it.
    pub(super) fn set(&self, id: SegmentId, listed: bool) {
        self.lock().insert(id, listed);
    }

    /// Forgets a segment.
    pub(super) fn remove(&self, id: SegmentId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SegmentId, bool>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_key_holds_company_and_seq_and_sorts_by_them() {
        let top = pos(CompanyNo(CompanyNo::LIMIT - 1), (1 << SEQ_BITS) - 1);
        assert_eq!(top, i64::MAX);
        assert_eq!((company_of(top), seq_of(top)), (CompanyNo(CompanyNo::LIMIT - 1), (1 << SEQ_BITS) - 1));
        assert!(pos(CompanyNo(1), u64::MAX) < pos(CompanyNo(2), 0));
    }
}
