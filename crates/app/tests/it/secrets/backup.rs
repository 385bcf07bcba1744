//! What somebody finds who got hold of a backup: in the archive as it lies there, in what it unpacks to, and in the
//! files that are restored from it.

use std::path::{Path, PathBuf};

use super::needles::Needles;
use crate::support::{Hub, Output, command, database, run};

const ARCHIVE: &str = "stolen.tar.zst";
const RESTORED: &str = "stolen";

/// A backup that was taken apart.
pub struct Stolen {
    archive: PathBuf,
    unpacked: Vec<u8>,
    restored: PathBuf,
    /// What the commands printed.
    said: String,
}

impl Stolen {
    /// Backs a hub up while it works and takes the archive apart. None of a hub on a database server, which makes the
    /// backups itself: they hold what its tables do.
    pub fn of(hub: &Hub) -> Option<Self> {
        if database::is_used() {
            return None;
        }
        let made = printed(run(command(hub, &["backup", "--data", "data", "--to", ARCHIVE]), ""));
        let restored = printed(run(command(hub, &["restore", "--from", ARCHIVE, "--data", RESTORED]), ""));
        let archive = hub.folder().join(ARCHIVE);
        let unpacked = zstd::decode_all(&*std::fs::read(&archive).expect("the archive")).expect("zstd");
        Some(Self { archive, unpacked, restored: hub.folder().join(RESTORED), said: made + &restored })
    }

    /// The secrets in it, each with its place.
    pub fn search(&self, needles: &Needles) -> Vec<String> {
        let mut found = Vec::new();
        needles.in_file(&self.archive, &mut found);
        needles.in_folder(&self.restored, &mut found);
        for (place, bytes) in [("the unpacked backup", &*self.unpacked), ("what was printed", self.said.as_bytes())] {
            found.extend(needles.in_bytes(bytes).iter().map(|name| format!("{name} in {place}")));
        }
        found
    }

    /// Asserts that what is in it is found: in the archive when it is unpacked, and in the files.
    #[track_caller]
    pub fn assert_has(&self, needles: &Needles) {
        let found = self.search(needles);
        let files: [&Path; 2] = [Path::new("the unpacked backup"), &self.restored];
        for place in files {
            let place = place.display().to_string();
            assert!(found.iter().any(|f| f.contains(&place)), "nothing is found in {place}: {found:?}");
        }
    }
}

#[track_caller]
fn printed(output: Output) -> String {
    assert_eq!(output.code, 0, "{}", output.stderr);
    output.stdout + &output.stderr
}
