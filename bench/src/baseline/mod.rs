//! What the hub is compared with: each the bare minimum of one half of its work, run as a child process.

pub mod bare_client;
pub mod empty_handler;
pub mod sqlite_insert;
