//! The hub is ended at random moments under load, again and again on one data folder; in the end every accepted event
//! must be accounted for (`design.md`, "Promises").
//!
//! `TILLSTREAM_CHAOS_ROUNDS` sets the rounds, `TILLSTREAM_CHAOS_SEED` repeats the dice of an earlier run.

#[path = "../it/support/api.rs"]
mod api;
mod campaign;
mod check;
#[path = "../it/support/database.rs"]
mod database;
#[path = "../it/support/hub.rs"]
mod hub;
mod producer;
#[path = "../it/support/receiver.rs"]
mod receiver;
mod receivers;
mod replay;
mod sink;
#[path = "../it/support/wait.rs"]
mod wait;

use campaign::{Campaign, End};

/// Rounds when nobody asks for another number.
const DEFAULT_ROUNDS: u32 = 10;
/// Rounds with another trouble than being killed.
const TROUBLED_ROUNDS: u32 = 4;

/// Campaigns run side by side; what is measured is alone.
static LOAD: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().ok().unwrap_or_else(|| panic!("{variable} is no number: {text}")))
}

fn seed() -> u64 {
    number("TILLSTREAM_CHAOS_SEED").unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_and_no_entity_goes_backwards_when_the_hub_is_killed() {
    let rounds = number("TILLSTREAM_CHAOS_ROUNDS").unwrap_or(DEFAULT_ROUNDS);
    let _load = LOAD.read().await;
    Campaign::start(seed()).await.run(rounds, End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_writing_fails_and_the_hub_ends_itself() {
    let _load = LOAD.read().await;
    Campaign::start(seed()).await.run(TROUBLED_ROUNDS, End::WritingFails).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_accepted_is_lost_when_syncs_fail_and_the_hub_ends_itself() {
    let _load = LOAD.read().await;
    Campaign::start(seed()).await.run(TROUBLED_ROUNDS, End::SyncsFail).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_survived_and_nothing_accepted_is_lost() {
    let _load = LOAD.read().await;
    Campaign::start(seed()).await.run(TROUBLED_ROUNDS, End::DiskFull).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_marked_and_whole_and_what_is_live_hardly_waits_for_it() {
    let _load = LOAD.write().await;
    replay::beside_a_live_flow().await;
}
