//! The contract suite: every clause of [`crate::Log`] and [`crate::State`], run by every engine.
//!
//! An engine's test implements [`Engine`] and calls [`log_contract`] and [`state_contract`]. Each clause gets a fresh,
//! empty engine; what fails panics in the function that is named after the clause.

mod erase;
mod index;
mod leaving;
mod log_append;
mod log_keep;
mod log_read;
mod log_repeat;
mod samples;
mod state_attempts;
mod state_companies;
mod state_documents;
mod state_integrations;
mod state_lanes;
mod state_news;
mod state_rejected;
mod state_replays;
mod state_statistics;
mod state_usage;

use async_trait::async_trait;
use tillstream_model::Time;

use crate::Stores;

pub use samples::{assert_same, content, full_content, settings};

/// When every clause begins: 2026-11-21T10:00:00Z.
pub const START: Time = Time::from_millis(1_795_255_200_000);

/// An engine under test, with storage of its own.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Opens the storage. What was opened before has been dropped, without any shutdown.
    async fn open(&self) -> Stores;

    /// Sets the engine's clock, which stands still otherwise and begins at [`START`].
    fn set_time(&self, now: Time);

    /// Every byte that is stored, to look for what must not be there.
    async fn at_rest(&self) -> Vec<u8>;
}

/// Runs every clause of [`crate::Log`]; `make` makes an empty engine.
pub async fn log_contract<E: Engine>(make: impl Fn() -> E) {
    log_append::seqs_are_dense_and_in_order_under_concurrent_appends(&make()).await;
    log_append::a_reader_never_sees_a_hole_while_others_write(&make()).await;
    log_append::what_was_answered_is_there_after_opening_again(&make()).await;
    log_append::the_bell_rings_after_a_commit(&make()).await;
    log_append::acceptance_times_never_decrease(&make()).await;
    log_read::an_event_reads_back_in_every_field(&make()).await;
    log_read::a_read_ends_at_its_limits_with_at_least_one_event(&make()).await;
    log_read::memory_and_disk_give_the_same(&make()).await;
    log_read::events_are_found_by_id_and_position(&make()).await;
    log_read::before_gives_the_last_position_of_an_older_time(&make()).await;
    log_read::companies_see_nothing_of_each_other(&make()).await;
    log_repeat::a_repeat_is_a_duplicate_and_another_event_a_conflict(&make()).await;
    log_repeat::repeats_within_one_append_are_told_apart(&make()).await;
    log_repeat::concurrent_repeats_append_once(&make()).await;
    log_repeat::ids_count_for_seven_days_whatever_the_retention(&make()).await;
    log_repeat::ids_are_remembered_after_opening_again(&make()).await;
    log_keep::segments_are_due_after_their_retention(&make()).await;
    log_keep::heads_and_floors_outlive_dropped_segments(&make()).await;
    log_keep::a_change_of_retention_keeps_the_order(&make()).await;
    erase::an_erased_payload_is_nowhere_and_the_rest_stays(&make()).await;
    index::what_is_indexed_is_found_by_its_keys_in_order(&make()).await;
    index::what_was_put_together_is_still_found(&make()).await;
    leaving::a_closed_log_is_empty_and_nothing_is_left_of_it(&make()).await;
    leaving::nothing_is_indexed_of_a_closed_log(&make()).await;
    index::the_index_of_a_day_goes_with_the_last_segment_of_it(&make()).await;
}

/// Runs every clause of [`crate::State`]; `make` makes an empty engine.
pub async fn state_contract<E: Engine>(make: impl Fn() -> E) {
    state_companies::companies_are_listed_by_number_and_their_ids_are_unique(&make()).await;
    state_companies::a_company_is_saved_as_a_whole(&make()).await;
    state_companies::keys_are_found_by_hash_and_belong_to_their_company(&make()).await;
    state_documents::a_document_belongs_to_its_company_and_kind(&make()).await;
    state_documents::documents_are_listed_by_the_bytes_of_their_ids(&make()).await;
    state_documents::a_document_is_saved_only_over_what_was_expected(&make()).await;
    state_documents::the_audit_is_paged_newest_first_and_goes_after_its_time(&make()).await;
    state_integrations::an_integration_reads_back_and_its_id_is_unique_per_company(&make()).await;
    state_integrations::settings_are_versions_that_take_effect_at_a_position(&make()).await;
    state_integrations::versions_are_listed_newest_first(&make()).await;
    state_integrations::of_two_saves_of_one_version_one_is_refused(&make()).await;
    state_integrations::starting_and_stopping_is_logged_with_its_reason(&make()).await;
    state_integrations::integrations_are_listed_by_id_in_pages(&make()).await;
    state_integrations::a_deleted_integration_takes_everything_with_it(&make()).await;
    state_integrations::secrets_are_never_stored_open(&make()).await;
    state_integrations::an_integrations_log_is_paged_newest_first(&make()).await;
    state_lanes::a_commit_is_kept_as_a_whole(&make()).await;
    state_lanes::a_cursor_never_goes_down(&make()).await;
    state_lanes::a_moved_cursor_leaves_everything_else(&make()).await;
    state_lanes::a_waiting_event_is_replaced_and_removed(&make()).await;
    state_lanes::an_integration_is_stopped_in_the_commit_that_says_so(&make()).await;
    state_lanes::lane_heads_list_running_integrations_with_their_work(&make()).await;
    state_lanes::many_commits_at_once_are_all_kept(&make()).await;
    state_news::news_is_untold_until_it_is_told(&make()).await;
    state_news::a_documents_secret_opens_only_where_it_was_sealed(&make()).await;
    state_rejected::rejected_events_are_paged_newest_first(&make()).await;
    state_rejected::of_two_retries_one_parks_the_event(&make()).await;
    state_rejected::a_rejected_event_that_is_deleted_lets_its_entity_go(&make()).await;
    state_rejected::rejected_events_go_after_their_time(&make()).await;
    state_replays::a_replay_is_started_once_and_moved_on_with_the_outcomes_of_its_lane(&make()).await;
    state_replays::a_replay_goes_with_its_integration(&make()).await;
    state_replays::what_was_delivered_waits_or_is_rejected_is_told_of_many_at_once(&make()).await;
    state_replays::what_a_replay_delivered_is_not_rejected_any_more(&make()).await;
    state_replays::an_event_is_parked_to_be_sent_again_unless_it_waits(&make()).await;
    state_attempts::attempts_of_all_integrations_are_paged_newest_first(&make()).await;
    state_attempts::attempts_are_filtered(&make()).await;
    state_attempts::attempts_of_an_event_are_listed_oldest_first(&make()).await;
    state_attempts::attempts_go_after_their_time(&make()).await;
    state_usage::what_was_used_is_added_up_by_day_and_class(&make()).await;
    state_usage::an_answer_is_given_again_to_the_same_request_and_sealed(&make()).await;
    state_usage::a_request_that_nobody_answers_may_be_tried_again(&make()).await;
    state_usage::held_events_read_back_in_order_and_go_one_by_one(&make()).await;
    state_usage::no_more_is_held_than_may_be(&make()).await;
    erase::an_erased_payload_leaves_waiting_and_rejected_rows(&make()).await;
    erase::outcomes_of_a_stretch_tell_how_each_event_ended(&make()).await;
    state_statistics::what_is_added_adds_up_and_belongs_to_its_company(&make()).await;
    state_statistics::statistics_go_after_their_time(&make()).await;
    leaving::a_hidden_company_is_in_no_list_and_nothing_is_written_for_it(&make()).await;
    leaving::a_purged_company_leaves_nothing_and_its_id_is_given_to_a_new_one(&make()).await;
    leaving::a_company_is_hidden_between_writes_and_never_within(&make()).await;
    state_statistics::all_lanes_of_a_company_are_told_at_once(&make()).await;
}

/// Drops what is open and opens the storage again.
async fn reopen(engine: &impl Engine, open: Stores) -> Stores {
    drop(open);
    engine.open().await
}
