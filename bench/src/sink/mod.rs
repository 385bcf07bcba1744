//! The receiver of deliveries: counts, checks order, measures latency, and misbehaves on request.
//!
//! The first part of a path says how it answers ([`Behaviour`]); paths that begin with `/_` control it
//! ([`control`]). It runs on one thread: the hub under test needs the other core.

mod behaviour;
mod book;
pub mod control;
mod order;
mod server;

pub use book::Stats;
pub use server::Sink;
