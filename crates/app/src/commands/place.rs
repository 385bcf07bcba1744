//! Which hub's state a command opens: by its folder or its database, while the hub runs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use tillstream_store::State;

use crate::config::{self, Config, ConfigFile, Written, Wrong};
use crate::wire;

/// Whose state.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// The hub's data folder [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The PostgreSQL server that holds the hub's state instead of the folder
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// File with certificates that the database server's may be signed with
    #[arg(long, value_name = "FILE")]
    database_ca: Option<PathBuf>,
    /// File with the hub's master key [default: <DATA>.master-key]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
}

impl Place {
    /// The configuration that this names.
    ///
    /// # Errors
    /// As [`config::load`].
    pub fn config(self) -> Result<Config, Wrong> {
        let Self { data, database, database_ca, master_key_file, file } = self;
        config::load(&file, Written { data, database, database_ca, master_key_file, ..Written::default() })
    }

    /// Opens the state; looking makes no folder where there is none.
    ///
    /// # Errors
    /// When there is no such folder, or the state cannot be opened.
    pub async fn open_existing(self) -> anyhow::Result<Arc<dyn State>> {
        open_existing(&self.config()?).await
    }
}

/// Opens the state that a configuration names; looking makes no folder where there is none.
///
/// # Errors
/// When there is no such folder, or the state cannot be opened.
pub async fn open_existing(config: &Config) -> anyhow::Result<Arc<dyn State>> {
    if config.database.is_none() && !config.data.is_dir() {
        bail!("there is no data folder {}; name the hub's with --data", config.data.display());
    }
    wire::open_state(config).await
}
