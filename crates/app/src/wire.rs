//! Which engine holds the log and the state: the only place that names one.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use tillstream_model::Time;
use tillstream_store::sqlite::{self, Options};
use tillstream_store::{Clock, MasterKey, State, Stores};

use crate::config::{Config, MasterKeySource};
use crate::faults;

/// The machine's clock, for everything that takes one.
pub fn clock() -> Clock {
    Arc::new(now)
}

/// The time by the machine's clock.
pub fn now() -> Time {
    Time::from_millis(Timestamp::now().as_millisecond())
}

/// Opens the log and the state; one process at a time may.
///
/// # Errors
/// When the folder is in use by another process, cannot be written, or was sealed with another master key.
pub fn open(config: &Config) -> anyhow::Result<Stores> {
    let faults = faults::from_environment()?;
    let options = Options { faults, ..Options::new(clock(), master_key(config)?) };
    let stores = sqlite::open(&config.data, options);
    stores.with_context(|| format!("open the data folder {}", config.data.display()))
}

/// Opens only the state, which works while a hub runs on the same folder.
///
/// # Errors
/// As [`open`], but for a folder in use.
pub fn open_state(config: &Config) -> anyhow::Result<Arc<dyn State>> {
    let options = Options::new(clock(), master_key(config)?);
    let state = sqlite::open_state(&config.data, options);
    state.with_context(|| format!("open the data folder {}", config.data.display()))
}

fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    match &config.master_key {
        MasterKeySource::Given(hex) => Ok(MasterKey::from_hex(hex.reveal())?),
        MasterKeySource::File(path) => {
            if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
            }
            MasterKey::load_or_create(path).context("the master key, which seals stored secrets")
        }
    }
}
