//! Several hubs on one PostgreSQL: lanes are shared, any node answers for all, and the loss of one is survived.
//!
//! `TILLSTREAM_CHAOS_ROUNDS` sets the rounds of the chaos tests, `TILLSTREAM_CHAOS_SEED` repeats the dice of a run.

#[path = "../it/support/api.rs"]
mod api;
mod chaos;
#[path = "../chaos/check.rs"]
mod check;
#[path = "../it/support/database.rs"]
mod database;
mod deletion;
mod encrypted;
#[path = "../it/support/hub.rs"]
mod hub;
mod limits;
mod live;
mod migrate;
mod network;
mod nodes;
mod notices;
mod outage;
mod postgres;
#[path = "../chaos/producer.rs"]
mod producer;
#[path = "../it/support/receiver.rs"]
mod receiver;
#[path = "../chaos/receivers.rs"]
mod receivers;
mod rows;
mod sharing;
#[path = "../chaos/sink.rs"]
mod sink;
#[path = "../it/support/stream.rs"]
mod stream;
#[path = "../it/support/wait.rs"]
mod wait;
