//! The command line: what there is, and help for each.

use clap::{Parser, Subcommand};

use crate::commands::{
    apply, backup, companies, completions, config, doctor, emit, integrations, jobs, keys, listen, master_key, migrate,
    replay, restore, serve, users, why,
};
use crate::demo;

const EXAMPLES: &str = "\
Examples:
  tillstream demo                                     watch simulated stores flow to three receivers
  tillstream serve --data ./data                      run a hub; the first start prints a key
  tillstream listen --create                          show deliveries of a hub on this machine as they come
  tillstream emit events.ndjson                       send events

Exit codes: 0 done, 1 failed (one line says what and what to do), 2 wrong use.
Settings may also stand in tillstream.toml and in TILLSTREAM_… variables: see `tillstream config --help`.";

/// Stores' events in, one durable log, signed webhooks out.
#[derive(Parser, Debug)]
#[command(name = "tillstream", version, about, after_help = EXAMPLES, max_term_width = 110, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a hub
    Serve(serve::Args),
    /// Watch simulated stores flow through a hub to three receivers
    Demo(demo::Args),
    /// Make, list and delete API keys, in the data folder
    Keys(keys::Args),
    /// Make and list the people who sign in, and print sign-in links, in the data folder
    Users(users::Args),
    /// Look at and change the integrations of a running hub
    Integrations(integrations::Args),
    /// Send past events to an integration once more
    Replay(replay::Args),
    /// Long work of a running hub: list, wait, cancel
    Jobs(jobs::Args),
    /// Say why something did not arrive, and what to do
    Why(why::Args),
    /// Look at and change the companies of a running hub
    Companies(companies::Args),
    /// Make a running hub what a file says
    Apply(apply::Args),
    /// Write down what a running hub is, as a file for `apply`
    Export(apply::export::Args),
    /// Send events to a hub: from a file, standard input, or generated
    Emit(emit::Args),
    /// Receive deliveries here and show them as they come
    Listen(listen::Args),
    /// Back up a hub, also while it runs, into one file
    Backup(backup::Args),
    /// Restore a backup into a new data folder
    Restore(restore::Args),
    /// Move a stopped hub from its folder into a PostgreSQL database
    Migrate(migrate::Args),
    /// Look whether everything a hub needs is as it should be
    Doctor(doctor::Args),
    /// Make a master key, or replace the one that seals stored secrets
    MasterKey(master_key::Args),
    /// Print the effective configuration and where each setting comes from
    Config(config::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}
