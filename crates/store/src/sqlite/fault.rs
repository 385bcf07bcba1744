//! Failures: what they mean for a writer, and named places where tests put them.

use std::sync::Arc;

use rusqlite::ErrorCode;

/// Places in the durable path where a failure may be put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Instead of a commit of events.
    LogCommit,
    /// Instead of a commit of the state.
    StateCommit,
    /// After a commit of events, before anybody is told: the moment a crash hurts most.
    LogCommitted,
}

/// A failure that is put somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk cannot write or sync.
    Io,
    /// The disk is full.
    Full,
}

/// Decides where failures are put; asked at every [`FaultPoint`].
pub trait Faults: Send + Sync {
    /// The failure to put here now, if any.
    fn at(&self, point: FaultPoint) -> Option<Fault>;
}

/// Called when nobody can tell whether a commit is durable. Must end the process; what waits is never answered.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Tells the reason and ends the process at once.
pub fn exit_on_fatal() -> OnFatal {
    Arc::new(|reason| {
        eprintln!("tillstream: ending at once: {reason}");
        tracing::error!(reason, "ending at once");
        std::process::exit(1)
    })
}

/// What an error of the engine means for the group that is being written.
#[derive(Debug)]
pub(super) enum Failure {
    /// Rolled back; the next group may work again.
    Full,
    /// Rolled back; the error as text.
    Refused(String),
    /// Nobody knows what is on disk.
    Fatal(String),
}

impl Failure {
    /// Sorts an error.
    pub(super) fn of(tried: &str, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Failure::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Failure::Fatal(format!("{tried}: {error}"))
            }
            _ => Failure::Refused(format!("{tried}: {error}")),
        }
    }

    /// Sorts an error of COMMIT, where anything but a full disk leaves it open what was written.
    pub(super) fn of_commit(tried: &str, error: &rusqlite::Error) -> Self {
        match Self::of(tried, error) {
            Failure::Refused(reason) => Failure::Fatal(reason),
            other => other,
        }
    }
}

/// Asks for a failure at a place.
pub(super) fn check(faults: Option<&Arc<dyn Faults>>, point: FaultPoint) -> Result<(), Failure> {
    match faults.and_then(|f| f.at(point)) {
        None => Ok(()),
        Some(Fault::Full) => Err(Failure::Full),
        Some(Fault::Io) => Err(Failure::Fatal(format!("an I/O error was put at {point:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: std::ffi::c_int) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    #[test]
    fn only_a_full_disk_is_survived_at_a_commit() {
        use rusqlite::ffi::{SQLITE_BUSY, SQLITE_FULL, SQLITE_IOERR_FSYNC};
        assert!(matches!(Failure::of_commit("x", &error(SQLITE_FULL)), Failure::Full));
        assert!(matches!(Failure::of_commit("x", &error(SQLITE_BUSY)), Failure::Fatal(_)));
        assert!(matches!(Failure::of_commit("x", &error(SQLITE_IOERR_FSYNC)), Failure::Fatal(_)));
        assert!(matches!(Failure::of("x", &error(SQLITE_BUSY)), Failure::Refused(_)));
        assert!(matches!(Failure::of("x", &error(SQLITE_IOERR_FSYNC)), Failure::Fatal(_)));
    }
}
