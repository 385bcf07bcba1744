//! Which one of a hub's things a command is about.

use crate::api_client::HubArgs;

/// One thing.
#[derive(clap::Args, Debug)]
pub struct One {
    /// Its id
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub hub: HubArgs,
}
