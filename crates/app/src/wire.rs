//! Which engine holds the log and the state: the only place that names one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use tillstream_model::Time;
use tillstream_store::transfer::{self, Moved, Progress};
use tillstream_store::{Clock, Rotated, State, Stores};
use tillstream_store::{postgres, sqlite};

pub use tillstream_store::MasterKey;
pub use tillstream_store::sqlite::{Backed, Restored};

use crate::config::{Config, Database, MasterKeySource};
use crate::faults;

/// The machine's clock, for everything that takes one.
pub fn clock() -> Clock {
    Arc::new(now)
}

/// The time by the machine's clock.
pub fn now() -> Time {
    Time::from_millis(Timestamp::now().as_millisecond())
}

/// Opens the log and the state for a hub that listens at an address. One process at a time may have a folder open, any number a database.
///
/// # Errors
/// When the folder is in use by another process or cannot be written, the server cannot be reached, or what is stored
/// was sealed with another master key.
pub async fn open(config: &Config, address: SocketAddr) -> anyhow::Result<Stores> {
    if let Some(database) = &config.database {
        return open_database(config, database, config.node_at(address)).await;
    }
    let faults = faults::from_environment()?;
    let options = sqlite::Options { faults, ..sqlite::Options::new(clock(), master_key(config)?) };
    let stores = sqlite::open(&config.data, options);
    stores.with_context(|| format!("open the data folder {}", config.data.display()))
}

/// Opens only the state, which works while a hub runs on the same folder.
///
/// # Errors
/// As [`open`], but for a folder in use.
pub async fn open_state(config: &Config) -> anyhow::Result<Arc<dyn State>> {
    if let Some(database) = &config.database {
        // It holds no lanes, so its name does not matter.
        return Ok(open_database(config, database, "command line".to_owned()).await?.state);
    }
    let options = sqlite::Options::new(clock(), master_key(config)?);
    let state = sqlite::open_state(&config.data, options);
    state.with_context(|| format!("open the data folder {}", config.data.display()))
}

/// Moves what the data folder holds into the configured database.
///
/// # Errors
/// When a hub has the folder open, there is nothing in it, or the database cannot be reached or belongs to a hub.
pub async fn migrate(
    config: &Config,
    database: &Database,
    told: &mut (dyn FnMut(Progress) + Send),
) -> anyhow::Result<Moved> {
    let from = sqlite::Options::new(clock(), existing_master_key(config)?);
    // It holds no lanes, so its name does not matter.
    let to = database_options(config, database, "migrate".to_owned())?;
    Ok(transfer::to_postgres(&config.data, from, to, told).await?)
}

/// Backs the data folder up into a new file, also while a hub runs on it.
///
/// # Errors
/// When there is no hub's data in it, or the file exists or cannot be written.
pub async fn backup(
    config: &Config,
    to: PathBuf,
    mut told: impl FnMut(Progress) + Send + 'static,
) -> anyhow::Result<Backed> {
    let data = config.data.clone();
    let work = move || sqlite::backup(&data, &to, &clock(), &mut told);
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Makes the data folder of a backup.
///
/// # Errors
/// When there is something in it already, the file is no whole backup, or the master key is another one.
pub async fn restore(
    config: &Config,
    from: PathBuf,
    mut told: impl FnMut(Progress) + Send + 'static,
) -> anyhow::Result<Restored> {
    let (data, options) = (config.data.clone(), sqlite::Options::new(clock(), existing_master_key(config)?));
    let work = move || sqlite::restore(&from, &data, &options, &mut told);
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Begins a new epoch in a database that was restored; its number.
///
/// # Errors
/// When a node runs on it or it cannot be reached.
pub async fn mark_restored(config: &Config, database: &Database) -> anyhow::Result<u32> {
    config.shared_master_key()?;
    Ok(postgres::mark_restored(&database_options(config, database, "restore".to_owned())?).await?)
}

/// Seals every stored secret anew under a new master key. The key's file is replaced; with a key that is given in
/// another way, the new one has to be given with the old one.
///
/// # Errors
/// When a hub has the folder open, or what is stored was sealed with another key.
pub async fn rotate(config: &Config) -> anyhow::Result<(Rotated, MasterKey)> {
    let old = existing_master_key(config)?;
    if let Some(database) = &config.database {
        let options = database_options(config, database, "rotate".to_owned())?;
        return Ok((postgres::rotate_key(&options).await?, old));
    }
    let pending = match &config.master_key {
        MasterKeySource::File(path) | MasterKeySource::Own(path) => Some((path, pending_key_file(path))),
        MasterKeySource::Given(_) => None,
    };
    let new = match &pending {
        Some((path, pending)) if !old.has_older() => {
            MasterKey::random().create(pending)?.after(&MasterKey::load(path)?)
        }
        _ => old,
    };
    let (data, key) = (config.data.clone(), new.clone());
    let rotated = tokio::task::spawn_blocking(move || sqlite::rotate_key(&data, &key)).await??;
    if let Some((path, pending)) = pending.filter(|(_, pending)| pending.is_file()) {
        replace(path, &pending).with_context(|| format!("put the new master key into {}", path.display()))?;
    }
    Ok((rotated, new))
}

/// Looks at the data folder without opening it as a hub does; None when there is no hub's data in it.
///
/// # Errors
/// When the key or the folder cannot be read.
pub fn examine_folder(config: &Config) -> anyhow::Result<Option<sqlite::Examined>> {
    if !config.data.is_dir() {
        return Ok(None);
    }
    Ok(sqlite::examine(&config.data, &existing_master_key(config)?)?)
}

/// Looks at the database without changing anything in it.
///
/// # Errors
/// When it cannot be reached.
pub async fn examine_database(config: &Config, database: &Database) -> anyhow::Result<postgres::Examined> {
    config.shared_master_key()?;
    Ok(postgres::examine(&database_options(config, database, "doctor".to_owned())?).await?)
}

/// The new key takes the place of the old one, which is kept beside it: backups from before need it.
fn replace(path: &Path, pending: &Path) -> anyhow::Result<()> {
    let kept = with_suffix(path, &MasterKey::load(path)?.id());
    if !kept.exists() {
        std::fs::hard_link(path, &kept)?;
    }
    std::fs::rename(pending, path)?;
    Ok(())
}

/// Where a new key waits until everything is sealed with it.
fn pending_key_file(path: &Path) -> PathBuf {
    with_suffix(path, "new")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

async fn open_database(config: &Config, database: &Database, node: String) -> anyhow::Result<Stores> {
    config.shared_master_key()?;
    Ok(postgres::open(database_options(config, database, node)?).await?)
}

fn database_options(config: &Config, database: &Database, node: String) -> anyhow::Result<postgres::Options> {
    let options = postgres::Options::new(database.url.reveal().to_owned(), node, clock(), master_key(config)?);
    Ok(postgres::Options { ca_file: database.ca_file.clone(), ..options })
}

/// A key that is there already: who looks for what was sealed with it must not make one.
fn existing_master_key(config: &Config) -> anyhow::Result<MasterKey> {
    if let MasterKeySource::File(path) | MasterKeySource::Own(path) = &config.master_key
        && !path.is_file()
    {
        bail!("the master key of the folder is not in {}; name its file with --master-key-file", path.display());
    }
    master_key(config)
}

fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    match &config.master_key {
        MasterKeySource::Given(hex) => Ok(MasterKey::from_hex(hex.reveal())?),
        MasterKeySource::File(path) | MasterKeySource::Own(path) => {
            if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
            }
            let key = MasterKey::load_or_create(path).context("the master key, which seals stored secrets")?;
            let pending = pending_key_file(path);
            // A rotation that broke off: which of the two seals is known where the secrets are.
            Ok(if pending.is_file() { MasterKey::load(&pending)?.after(&key) } else { key })
        }
    }
}
