//! What a connector is made of, after the configuration was checked.

use jackfield_core::{CommitWhen, Patience};
use jackfield_log::Start;
use jackfield_plugin::lake::Lake;
use jackfield_plugin::{CallLimits, Delivery, HttpGrants, Plugin, WebSocketGrants};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A plugin as one connector uses it.
#[derive(Clone)]
pub struct Plugged {
    /// The compiled component.
    pub plugin: Plugin,
    /// Its limits.
    pub limits: CallLimits,
    /// Settings as JSON, checked against the component's own schema.
    pub settings: String,
}

/// The topic of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// Records go to this topic.
    Named {
        /// The topic's name.
        name: String,
        /// Partitions it is created with.
        partitions: i32,
        /// Topic configs it is created with, in Kafka's names.
        configs: BTreeMap<String, String>,
    },
    /// Records of the feed are not kept.
    Dropped,
}

/// A topic that a sink reads, as it is created when it does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTopic {
    /// The topic's name.
    pub name: String,
    /// Partitions it is created with.
    pub partitions: i32,
    /// Topic configs it is created with, in Kafka's names.
    pub configs: BTreeMap<String, String>,
}

/// What becomes of a record that can't be delivered, ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnBadRecord {
    /// The connector stops at the record and shows its coordinates.
    Stop,
    /// The record is counted and left out.
    Skip,
    /// The record goes to this topic, with its coordinates and the reason as headers.
    DeadLetter {
        /// The dead-letter topic.
        topic: String,
    },
}

/// How a source's batches wait for each other, so that the log makes larger transactions of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathering {
    /// Longest time that one waits for others. Zero: none waits.
    pub linger: Duration,
    /// Records that wait for no more.
    pub records_max: u32,
}

/// A source connector.
#[derive(Clone)]
pub struct SourceSpec {
    /// The pipeline it belongs to.
    pub pipeline: String,
    /// Its own name.
    pub connector: String,
    /// Asked for in the pipeline.
    pub delivery: Delivery,
    /// The component and its settings.
    pub plugged: Plugged,
    /// Where each feed goes.
    pub topics: BTreeMap<String, Topic>,
    /// Most slots that the work is split into.
    pub slots_max: u32,
    /// What the component may connect to.
    pub websocket: WebSocketGrants,
    /// What the component may request.
    pub http: HttpGrants,
    /// For events that can never become a record.
    pub on_bad_record: OnBadRecord,
    /// How its batches are gathered before the log gets them.
    pub gathering: Gathering,
    /// How long without progress before it is FAILED.
    pub patience: Patience,
}

/// A sink connector.
#[derive(Clone)]
pub struct SinkSpec {
    /// The pipeline it belongs to.
    pub pipeline: String,
    /// Its own name, which is also its consumer group's.
    pub connector: String,
    /// Asked for in the pipeline.
    pub delivery: Delivery,
    /// The component and its settings.
    pub plugged: Plugged,
    /// Topics it reads.
    pub topics: Vec<ReadTopic>,
    /// Where reading begins when neither a target nor the group knows.
    pub start: Start,
    /// Tasks that share the partitions.
    pub tasks: u32,
    /// When to commit.
    pub commit: CommitWhen,
    /// The granted lake.
    pub lake: Option<Arc<Lake>>,
    /// What the component may request.
    pub http: HttpGrants,
    /// For records that the component rejects.
    pub on_bad_record: OnBadRecord,
    /// How long without progress before it is FAILED.
    pub patience: Patience,
}
