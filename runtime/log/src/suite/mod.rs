//! The conformance suite: what every log must show.
//!
//! Each function of the modules here shows one promise of the port, on a [`Fixture`] that says how
//! to get a log. [`conformance!`](crate::conformance) makes a test of each, so that one that is
//! broken is named:
//!
//! ```text
//! // tests/conformance.rs of an implementation
//! jackfield_log::conformance!(MyFixture::new());
//! ```
//!
//! | module | promises about |
//! |---|---|
//! | [`topics`] | creating, describing and deleting topics |
//! | [`appends`], [`refusals`] | what an append answers, and what lands of it |
//! | [`fencing`] | writers that were replaced |
//! | [`progress`] | positions and marks |
//! | [`seeking`], [`delivery`] | where a reader stands, and what it is given |
//! | [`commits`], [`sharing`], [`leaving`] | groups |
//! | [`restarts`] | what is still there after a stop |
//! | [`browsing`] | looking at records without a group |
//! | [`keyed`] | compacted topics seen as maps |
//! | [`oracle`] | everything at once, at random, against a model |
//!
//! Nothing but the port is used and nothing is taken for granted that it does not promise: offsets
//! may have gaps, since Kafka's transactions take some, and the records of different writers may
//! lie between each other. All names are new ones, so that the promises can be shown at the same
//! time on one shared cluster. That something does *not* arrive is shown by something later that
//! does, never by waiting a while.
#![allow(
    clippy::unwrap_used,
    reason = "support for tests: a failure is a panic"
)]

mod bounds;
mod corner;
mod follower;
mod members;
mod numbered;
mod records;
mod seeds;

pub mod appends;
pub mod browsing;
pub mod commits;
pub mod delivery;
pub mod fencing;
pub mod keyed;
pub mod leaving;
pub mod oracle;
pub mod progress;
pub mod refusals;
pub mod restarts;
pub mod seeking;
pub mod sharing;
pub mod topics;

pub use bounds::show;

use crate::Log;
use async_trait::async_trait;
use std::sync::Arc;

/// How the suite gets a log, and gets it again after a stop.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The log, opened on the fixture's storage. While one returned before is alive it is the same
    /// log.
    async fn log(&self) -> Arc<dyn Log>;

    /// Drops the log and opens it again on the same storage, as after a restart of the process;
    /// `None` where it can't be. No writer, reader or keyed topic of it is alive, and not all of
    /// them were closed. What was appended last may still be on its way.
    async fn reopen(&self, log: Arc<dyn Log>) -> Option<Arc<dyn Log>>;

    /// The installation that the log belongs to, for the identities of writers.
    fn cluster(&self) -> String {
        "conformance".into()
    }

    /// Why a promise can't be shown here, such as a mock that deletes no topics; `None`: it can.
    fn lacks(&self, _promise: &str) -> Option<&'static str> {
        None
    }
}

/// Makes one test of each promise of the suite.
///
/// Takes an expression for a [`Fixture`](crate::suite::Fixture), which each test evaluates for
/// itself, inside an async function. The crate that uses it depends on `tokio` with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! conformance {
    ($fixture:expr $(,)?) => {
        $crate::conformance! { @each $fixture;
            topics {
                a_topic_is_described_as_it_was_created
                topics_are_listed_by_name
                an_unknown_topic_is_nowhere
                creating_again_returns_what_there_is
                creating_with_other_partitions_is_rejected
                names_are_as_in_kafka
                a_topic_has_at_least_one_partition
                settings_have_kafkas_names
                a_deleted_topic_is_gone
                a_topic_created_again_is_another
                a_topic_created_again_has_no_group_offsets
                ends_move_with_the_records
            }
            appends {
                first_offsets_tell_where_each_output_begins
                outputs_for_one_partition_keep_their_order
                an_append_lands_with_all_its_parts
                an_append_without_records_lands
                outcomes_resolve_in_the_order_of_calls
                appends_wait_for_room_and_go_on
                a_dropped_pending_lands_all_the_same
                closing_waits_for_what_is_in_flight
                writers_share_a_partition
                the_largest_batches_land
            }
            refusals {
                an_append_to_nowhere_is_refused
                an_append_of_no_record_is_refused
                a_malformed_batch_is_refused
                a_batch_with_coordinates_is_refused
                nothing_lands_of_a_refused_append
                a_refused_append_disturbs_none_in_flight
                an_append_to_a_deleted_topic_fails
            }
            fencing {
                a_newer_writer_fences_the_older
                a_fenced_writer_stays_fenced
                other_identities_are_not_fenced
                nothing_lands_after_a_fence
                of_writers_opened_at_once_one_can_append
            }
            progress {
                nothing_is_stored_of_a_new_connector
                appends_set_and_delete_positions
                positions_are_the_connectors
                positions_are_ordered_by_partition
                a_mark_is_the_slots
                an_append_leaves_what_it_does_not_name
                positions_are_set_by_hand
                closing_a_writer_keeps_what_is_stored
            }
            seeking {
                an_assignment_says_where_its_partition_stands
                nothing_is_read_before_a_seek
                a_seek_may_go_to_any_record
                a_seek_may_go_to_the_end
                a_seek_back_reads_again
                a_seek_outside_is_rejected
                a_rejected_seek_changes_nothing
                a_seek_elsewhere_is_rejected
            }
            delivery {
                records_are_read_as_they_were_written
                batches_follow_one_another
                a_waiting_reader_wakes
                a_wait_may_be_dropped
                a_paused_partition_delivers_nothing
                a_resumed_partition_goes_on_where_it_stood
                a_seek_does_not_resume
            }
            commits {
                the_last_commit_is_in_the_next_assignment
                a_commit_is_the_groups_alone
                groups_read_apart
                a_commit_after_a_release_is_fenced
                offsets_are_set_by_hand
            }
            sharing {
                members_share_partitions
                a_partition_has_one_member_at_a_time
                a_revoking_partition_delivers_nothing
                a_seek_is_taken_until_a_revocation_is_told
                a_partition_that_comes_back_waits_for_a_seek
                revocations_reach_a_paused_reader
                a_handover_loses_and_doubles_nothing
            }
            leaving {
                a_closed_reader_leaves_its_partitions
                a_dropped_reader_leaves_its_partitions
                a_member_too_many_waits_its_turn
                a_member_that_joins_again_fences_the_earlier
                a_deleted_topic_is_lost
            }
            browsing {
                a_browser_gives_each_record_once_and_waits_for_more
                a_browser_begins_where_it_is_told
                a_browser_is_in_nobodys_way
                a_record_is_found_by_its_time
                browsing_nowhere_is_rejected
            }
            restarts {
                topics_survive
                records_survive
                progress_survives
                group_offsets_survive
                appends_in_flight_survive_whole
            }
            keyed {
                a_key_has_its_newest_value
                a_removed_key_is_gone
                entries_are_ordered_by_key
                another_handle_sees_every_put
                keyed_topics_are_apart
                puts_at_once_all_land
                keys_survive
            }
            oracle {
                what_is_read_is_what_was_written
            }
        }
    };
    (@each $fixture:expr; $($module:ident { $($promise:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let fixture = $fixture;
                let shown = $crate::suite::$module::$promise(&fixture);
                $crate::suite::show(&fixture, stringify!($promise), shown).await;
            }
        )*)*
    };
}
