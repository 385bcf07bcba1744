//! One file or folder for each command.

pub mod apply;
pub mod companies;
pub mod completions;
pub mod config;
pub mod emit;
pub mod integrations;
pub mod keys;
pub mod listen;
pub mod migrate;
pub mod serve;
