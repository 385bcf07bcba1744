//! One file or folder for each command.

pub mod apply;
pub mod backup;
pub mod companies;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod emit;
pub mod integrations;
pub mod jobs;
pub mod keys;
pub mod listen;
pub mod master_key;
pub mod migrate;
mod one;
pub mod place;
pub mod replay;
pub mod restore;
pub mod serve;
pub mod users;
pub mod why;
