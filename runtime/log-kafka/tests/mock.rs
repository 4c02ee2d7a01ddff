//! The suite that every log passes, on librdkafka's mock cluster: quick, and without Java.
//!
//! The mock keeps to the wire protocol, and has no admin requests, no control records, no members
//! by name, and groups of several members only roughly. What needs those is shown by `broker.rs`
//! alone.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;

use async_trait::async_trait;
use cluster::Cluster;
use jackfield_log::suite::Fixture;
use jackfield_log::{
    Browser, Ends, Identity, Keyed, Log, LogError, Position, Reader, ReaderSpec, Stored, TopicInfo,
    TopicPartition, TopicSpec, Writer,
};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use std::sync::{Arc, Mutex, Weak};

/// A cluster of its own for each promise.
struct Mock {
    cluster: Cluster,
    config: KafkaConfig,
    open: Mutex<Weak<Mocked>>,
}

impl Mock {
    fn new() -> Self {
        let (cluster, config) = Cluster::start();
        Self {
            cluster,
            config,
            open: Mutex::default(),
        }
    }
}

/// The log, with topics made as the mock makes them.
struct Mocked {
    log: Arc<KafkaLog>,
    cluster: Cluster,
}

impl Mocked {
    async fn make(&self, name: &str, partitions: i32) {
        if partitions > 0 && self.log.describe_topic(name).await == Ok(None) {
            self.cluster.make(name, partitions);
        }
    }
}

#[async_trait]
impl Log for Mocked {
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let sound = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = &*spec.name;
        if (1..250).contains(&name.len())
            && name.chars().all(sound)
            && !name.trim_matches('.').is_empty()
        {
            self.make(name, spec.partitions).await;
        }
        self.log.create_topic(spec).await
    }

    async fn describe_topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.log.describe_topic(name).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.log.topics().await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.log.delete_topic(name).await
    }

    async fn ends(&self, topic: &str, partition: i32) -> Result<Ends, LogError> {
        self.log.ends(topic, partition).await
    }

    async fn writer(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        self.log.writer(identity).await
    }

    async fn stored(&self, identity: &Identity) -> Result<Stored, LogError> {
        self.log.stored(identity).await
    }

    async fn set_positions(&self, connector: &str, positions: &[Position]) -> Result<(), LogError> {
        self.log.set_positions(connector, positions).await
    }

    async fn reader(&self, spec: &ReaderSpec) -> Result<Box<dyn Reader>, LogError> {
        self.log.reader(spec).await
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        self.log.group_offsets(group, topics).await
    }

    async fn set_group_offsets(
        &self,
        group: &str,
        topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), LogError> {
        self.log.set_group_offsets(group, topics, offsets).await
    }

    async fn browse(&self, topic: &str, from: &[(i32, i64)]) -> Result<Box<dyn Browser>, LogError> {
        self.log.browse(topic, from).await
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<i64, LogError> {
        self.log.offset_at(topic, partition, time_ms).await
    }

    async fn bytes(&self, topic: &str, partition: i32) -> Result<Option<u64>, LogError> {
        self.log.bytes(topic, partition).await
    }

    async fn keyed(&self, topic: &str) -> Result<Arc<dyn Keyed>, LogError> {
        self.make(topic, 1).await;
        self.log.keyed(topic).await
    }
}

#[async_trait]
impl Fixture for Mock {
    async fn log(&self) -> Arc<dyn Log> {
        let mut open = self.open.lock().unwrap();
        if let Some(log) = open.upgrade() {
            return log;
        }
        let log = Arc::new(Mocked {
            log: KafkaLog::open(self.config.clone()).unwrap(),
            cluster: self.cluster.clone(),
        });
        *open = Arc::downgrade(&log);
        log
    }

    async fn reopen(&self, log: Arc<dyn Log>) -> Option<Arc<dyn Log>> {
        drop(log);
        Some(self.log().await)
    }

    fn lacks(&self, promise: &str) -> Option<&'static str> {
        lacks(promise)
    }
}

/// What the mock can't do.
fn lacks(promise: &str) -> Option<&'static str> {
    match promise {
        "a_deleted_topic_is_gone"
        | "a_topic_created_again_is_another"
        | "a_topic_created_again_has_no_group_offsets"
        | "an_append_to_a_deleted_topic_fails"
        | "a_deleted_topic_is_lost"
        | "topics_survive" => Some("the mock deletes no topics"),
        "offsets_are_set_by_hand" => Some("the mock deletes no groups"),
        "settings_have_kafkas_names" => Some("the mock's topics have no settings"),
        "a_record_is_found_by_its_time" => Some("the mock finds no offsets by time"),
        "a_newer_writer_fences_the_older"
        | "a_fenced_writer_stays_fenced"
        | "nothing_lands_after_a_fence"
        | "appends_in_flight_survive_whole"
        | "of_writers_opened_at_once_one_can_append" => Some("the mock fences no producer"),
        "a_member_that_joins_again_fences_the_earlier" | "what_is_read_is_what_was_written" => {
            Some("the mock knows no members by name")
        }
        "members_share_partitions"
        | "a_partition_has_one_member_at_a_time"
        | "a_revoking_partition_delivers_nothing"
        | "a_seek_is_taken_until_a_revocation_is_told"
        | "a_partition_that_comes_back_waits_for_a_seek"
        | "revocations_reach_a_paused_reader"
        | "a_handover_loses_and_doubles_nothing"
        | "a_closed_reader_leaves_its_partitions"
        | "a_dropped_reader_leaves_its_partitions"
        | "a_member_too_many_waits_its_turn"
        | "a_commit_after_a_release_is_fenced"
        | "a_seek_elsewhere_is_rejected" => Some(
            "the mock changes a group of several members by a timer, whoever has joined by then",
        ),
        _ => None,
    }
}

jackfield_log::conformance!(Mock::new());
