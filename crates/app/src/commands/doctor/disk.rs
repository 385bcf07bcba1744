//! The disk under the data folder: its room, its kind, and how long it takes to make something durable.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Finding;

const ROOM: &str = "disk space";
const KIND: &str = "disk";
const SYNC: &str = "disk sync";

/// Below this a hub takes no events.
const LEAST_BYTES: u64 = 256 << 20;
/// Below this it soon will not.
const LOW_BYTES: u64 = 2 << 30;
/// Writes that are measured.
const WRITES: usize = 50;
/// Bytes of each.
const WRITE_BYTES: usize = 4_096;
/// A commit waits for about one sync; above this a hub is slow.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Where a sync or a lock means less than it says, by the file system's number (`statfs(2)`).
const NOT_LOCAL: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6573_5546, "FUSE"),
];

/// Looks at it; a folder that is not there yet will lie on its parent's disk.
pub(super) async fn all(data: &Path) -> Vec<Finding> {
    let folder = existing(data);
    let mut findings = match rustix::fs::statvfs(&folder) {
        Ok(stat) => vec![room(stat.f_bavail.saturating_mul(stat.f_frsize))],
        Err(e) => vec![Finding::fail(ROOM, format!("{}: {e}", folder.display()), "name another folder with --data")],
    };
    if let Ok(stat) = rustix::fs::statfs(&folder) {
        findings.push(kind(u64::from(stat.f_type as u32)));
    }
    let measured = tokio::task::spawn_blocking(move || measure(&folder).map_err(|e| (folder, e))).await;
    findings.push(match measured {
        Ok(Ok(times)) => sync(times),
        Ok(Err((folder, e))) => Finding::fail(
            SYNC,
            format!("{} cannot be written: {e}", folder.display()),
            "make it writable for this user",
        ),
        Err(e) => Finding::fail(SYNC, e.to_string(), "run this again"),
    });
    findings
}

fn existing(data: &Path) -> PathBuf {
    let absolute = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    absolute.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn room(free: u64) -> Finding {
    let found = format!("{} MB free", free >> 20);
    match free {
        ..LEAST_BYTES => {
            Finding::fail(ROOM, found, format!("below {} MB a hub takes no events: make room", LEAST_BYTES >> 20))
        }
        LEAST_BYTES..LOW_BYTES => Finding::warn(ROOM, found, "make room, or keep events for a shorter time"),
        LOW_BYTES.. => Finding::ok(ROOM, found),
    }
}

fn kind(number: u64) -> Finding {
    match NOT_LOCAL.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => Finding::warn(
            KIND,
            format!("{name}, which is not a local disk"),
            "keep the data folder on a local disk: on others locks and syncs are not always what they say",
        ),
        None => Finding::ok(KIND, "local"),
    }
}

/// Small synced writes to a file that goes away, in order of time.
fn measure(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = tempfile::Builder::new().prefix(".tillstream-doctor-").tempfile_in(folder)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.as_file().sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn sync(times: Vec<Duration>) -> Finding {
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied();
    let (p50, p99) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
    let found = format!("p50 {:.1} ms, p99 {:.1} ms", millis(p50), millis(p99));
    if p99 > SLOW_SYNC {
        let advice = "every answer waits for a sync: use a disk with a protected cache, or one that is less busy";
        return Finding::warn(SYNC, found, advice);
    }
    Finding::ok(SYNC, found)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn room_is_judged_at_its_limits() {
        let status = |free| room(free).status;
        assert_eq!((status(LEAST_BYTES - 1), status(LEAST_BYTES)), (Status::Fail, Status::Warn));
        assert_eq!((status(LOW_BYTES - 1), status(LOW_BYTES)), (Status::Warn, Status::Ok));
    }

    #[test]
    fn a_slow_sync_is_one_above_the_limit() {
        let all = |time| sync(vec![time; WRITES]).status;
        assert_eq!(all(SLOW_SYNC), Status::Ok);
        assert_eq!(all(SLOW_SYNC + Duration::from_millis(1)), Status::Warn);
        assert_eq!(measure(tempfile::tempdir().unwrap().path()).unwrap().len(), WRITES);
    }

    #[test]
    fn a_network_file_system_is_told() {
        assert_eq!((kind(0x6969).status, kind(0xef53).status), (Status::Warn, Status::Ok));
    }

    #[test]
    fn a_folder_that_is_not_there_lies_on_its_parents_disk() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
    }
}
