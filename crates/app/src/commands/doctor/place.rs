//! Where the data is: the folder or the database, the master key, and who may read the files with keys.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use crate::config::{self, Config, Database, MasterKeySource};
use crate::wire;

const DATA: &str = "data";
const DATABASE: &str = "database";
const DATABASE_CLOCK: &str = "database clock";
const STANDBY: &str = "standby";
const KEY: &str = "master key";
const FILES: &str = "key files";

/// How far the clocks of a node and its database may be apart, in milliseconds.
const APART_MS: i64 = 1_000;
/// What others than a file's owner may do with it.
const OTHERS: u32 = 0o077;

/// Looks at it.
pub(super) async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = match &config.database {
        Some(database) => in_database(config, database).await,
        None => vec![in_folder(config)],
    };
    findings.extend(key_files(config));
    findings
}

fn in_folder(config: &Config) -> Finding {
    match wire::examine_folder(config) {
        Ok(None) => Finding::ok(DATA, format!("{} has nothing in it yet", config.data.display())),
        Ok(Some(found)) => match found.key {
            Ok(()) => {
                Finding::ok(KEY, format!("it opens {}, which is in epoch {}", config.data.display(), found.epoch))
            }
            Err(why) => another_key(&why),
        },
        Err(e) => {
            Finding::fail(KEY, format!("{e:#}"), "name the right folder with --data, its key with --master-key-file")
        }
    }
}

fn another_key(why: &str) -> Finding {
    Finding::fail(KEY, why, "give the key it was made with: --master-key-file, or TILLSTREAM_MASTER_KEY")
}

async fn in_database(config: &Config, database: &Database) -> Vec<Finding> {
    let found = match wire::examine_database(config, database).await {
        Ok(found) => found,
        Err(e) => {
            let advice = "see that the server runs, takes writes, and that the address and password are right";
            return vec![Finding::fail(DATABASE, format!("{e:#}"), advice)];
        }
    };
    let version = format!("PostgreSQL {} at {}", found.version, database.shown());
    let mut findings = vec![match (found.is_new_enough, found.synchronous_commit.as_str()) {
        (false, _) => Finding::fail(DATABASE, version, "PostgreSQL 14 or newer is needed"),
        (true, "off") => Finding::fail(
            DATABASE,
            format!("{version}: synchronous_commit is off"),
            "nothing it accepts is safe: set synchronous_commit to on for this role",
        ),
        (true, _) => Finding::ok(DATABASE, version),
    }];
    findings.push(apart(found.now.millis() - wire::now().millis()));
    findings.push(standby(&found.standbys));
    findings.push(match found.key {
        None => Finding::ok(KEY, "the database has no hub's tables yet"),
        Some(Ok(())) => Finding::ok(KEY, "it opens the database"),
        Some(Err(why)) => another_key(&why),
    });
    findings
}

fn apart(ms: i64) -> Finding {
    let found = format!("{ms} ms from this machine's");
    if ms.abs() > APART_MS {
        return Finding::warn(DATABASE_CLOCK, found, "keep both clocks set with NTP");
    }
    Finding::ok(DATABASE_CLOCK, found)
}

fn standby(names: &str) -> Finding {
    if names.is_empty() {
        let advice = "set synchronous_standby_names, so that a 202 means two machines";
        return Finding::warn(STANDBY, "a commit waits for no standby", advice);
    }
    Finding::ok(STANDBY, format!("a commit waits for {names}"))
}

/// Files that hold keys are their owner's alone.
fn key_files(config: &Config) -> Vec<Finding> {
    let master = match &config.master_key {
        MasterKeySource::File(path) | MasterKeySource::Own(path) => Some(path.clone()),
        MasterKeySource::Given(_) => None,
    };
    let files = master.into_iter().chain(config::admin_key_file(&config.data).ok());
    files.filter_map(|file| key_file(&file)).collect()
}

fn key_file(file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Some(Finding::ok(FILES, format!("{} is its owner's alone", file.display())));
    }
    let found = format!("{} may be read by others (mode {:o})", file.display(), mode & 0o777);
    Some(Finding::fail(FILES, found, format!("chmod 600 {}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn clocks_may_be_a_second_apart() {
        let status = |ms| apart(ms).status;
        assert_eq!((status(APART_MS), status(-APART_MS), status(APART_MS + 1)), (Status::Ok, Status::Ok, Status::Warn));
    }

    #[test]
    fn a_key_file_that_others_may_read_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        assert_eq!(key_file(&file), None);
        std::fs::write(&file, "x").unwrap();
        for (mode, status) in [(0o600, Status::Ok), (0o640, Status::Fail), (0o604, Status::Fail)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(key_file(&file).unwrap().status, status, "{mode:o}");
        }
    }
}
