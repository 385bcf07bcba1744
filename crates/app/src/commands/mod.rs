//! One file or folder for each command.

pub mod completions;
pub mod config;
pub mod emit;
pub mod integrations;
pub mod keys;
pub mod listen;
pub mod migrate;
pub mod place;
pub mod serve;
pub mod users;
