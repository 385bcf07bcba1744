//! Configuration: as written (all optional, in four layers) and as used (complete, checked).
//!
//! Command line > environment > `tillstream.toml` > defaults (`contracts/hub-api.md`, "Configuration").

mod layers;
mod notify;
mod used;
mod written;

use std::path::PathBuf;

pub use layers::Setting;
pub use used::{Config, Database, LogFormat, MasterKeySource, admin_key_file};
pub use written::{ConfigFile, Written};

/// Where the hub listens when nobody says otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Where the hub keeps its data when nobody says otherwise.
pub const DEFAULT_DATA: &str = "data";

/// A setting that cannot be used; the text says which, from where, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl Wrong {
    /// With this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// Whether a configuration file may have this key.
pub fn is_key(key: &str) -> bool {
    written::KEYS.contains(&key)
}

/// The variables of the process that are text. Others cannot be settings of ours.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Reads all layers and checks the result.
///
/// # Errors
/// [`Wrong`]: an unknown key (with the closest known one), a value of the wrong kind, a combination that is refused.
pub fn load(file: &ConfigFile, command_line: Written) -> Result<Config, Wrong> {
    let environment = environment();
    let layers = layers::Layers::read(file.path(), &environment, command_line)?;
    Config::check(layers.written()?, &environment)
}

/// As [`load`], with every setting and where it comes from, for people to look at.
///
/// # Errors
/// As [`load`].
pub fn explain(file: &ConfigFile, command_line: Written) -> Result<(Config, Vec<Setting>), Wrong> {
    let environment = environment();
    let layers = layers::Layers::read(file.path(), &environment, command_line)?;
    let config = Config::check(layers.written()?, &environment)?;
    if config.database.is_some() {
        config.shared_master_key()?;
    }
    let settings = layers.settings(&config);
    Ok((config, settings))
}

/// A path next to the data folder: `<data>.<suffix>`. What must never be in a backup of the folder stands there.
///
/// # Errors
/// [`Wrong`] when the folder has no name of its own, such as `..`.
pub fn beside(data: &std::path::Path, suffix: &str) -> Result<PathBuf, Wrong> {
    let absolute = std::path::absolute(data).map_err(|e| Wrong::new(format!("data \"{}\": {e}", data.display())))?;
    let Some(name) = absolute.file_name() else {
        return Err(Wrong::new(format!(
            "data \"{}\" has no name of its own: give a folder such as ./data",
            data.display()
        )));
    };
    let mut name = name.to_owned();
    name.push(".");
    name.push(suffix);
    Ok(if data.file_name().is_some() { data.with_file_name(name) } else { absolute.with_file_name(name) })
}
