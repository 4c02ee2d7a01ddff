//! The log before the log.

use crate::reader::JsonReader;
use crate::schemas::Schemas;
use crate::writer::JsonWriter;
use async_trait::async_trait;
use jackfield_log::{
    Browser, Ends, Identity, Keyed, Log, LogError, Position, Reader, ReaderSpec, Stored, TopicInfo,
    TopicPartition, TopicSpec, Writer,
};
use jackfield_schema::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which topics lie as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JsonTopics {
    /// Those that are not in `by_name`.
    pub others: bool,
    /// By name.
    pub by_name: BTreeMap<String, bool>,
}

impl JsonTopics {
    /// Whether this one does.
    pub fn contains(&self, topic: &str) -> bool {
        self.by_name.get(topic).copied().unwrap_or(self.others)
    }

    /// Whether any may.
    pub fn any(&self) -> bool {
        self.others || self.by_name.values().any(|json| *json)
    }
}

/// A log whose topics lie in another one, some of them as JSON.
pub struct JsonLog {
    inner: Arc<dyn Log>,
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) topics: JsonTopics,
    pub(crate) schemas: Schemas,
}

impl JsonLog {
    /// Stands before `inner`; schemas come from `registry`.
    pub fn new(inner: Arc<dyn Log>, registry: Arc<dyn Registry>, topics: JsonTopics) -> Arc<Self> {
        Arc::new(Self {
            inner,
            shared: Arc::new(Shared {
                topics,
                schemas: Schemas::new(registry),
            }),
        })
    }

    fn before(&self, inner: Box<dyn Writer>) -> Box<dyn Writer> {
        Box::new(JsonWriter {
            inner,
            shared: Arc::clone(&self.shared),
        })
    }
}

#[async_trait]
impl Log for JsonLog {
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.inner.create_topic(spec).await
    }

    async fn describe_topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.inner.describe_topic(name).await
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.inner.topics().await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.inner.delete_topic(name).await
    }

    async fn ends(&self, topic: &str, partition: i32) -> Result<Ends, LogError> {
        self.inner.ends(topic, partition).await
    }

    async fn writer(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        Ok(self.before(self.inner.writer(identity).await?))
    }

    async fn writer_at_least_once(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        Ok(self.before(self.inner.writer_at_least_once(identity).await?))
    }

    async fn stored(&self, identity: &Identity) -> Result<Stored, LogError> {
        self.inner.stored(identity).await
    }

    async fn set_positions(&self, connector: &str, positions: &[Position]) -> Result<(), LogError> {
        self.inner.set_positions(connector, positions).await
    }

    async fn reader(&self, spec: &ReaderSpec) -> Result<Box<dyn Reader>, LogError> {
        let inner = self.inner.reader(spec).await?;
        Ok(Box::new(JsonReader::new(inner, Arc::clone(&self.shared))))
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        self.inner.group_offsets(group, topics).await
    }

    async fn set_group_offsets(
        &self,
        group: &str,
        topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), LogError> {
        self.inner.set_group_offsets(group, topics, offsets).await
    }

    /// The text as it lies there: for people it is the record.
    async fn browse(&self, topic: &str, from: &[(i32, i64)]) -> Result<Box<dyn Browser>, LogError> {
        self.inner.browse(topic, from).await
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<i64, LogError> {
        self.inner.offset_at(topic, partition, time_ms).await
    }

    async fn bytes(&self, topic: &str, partition: i32) -> Result<Option<u64>, LogError> {
        self.inner.bytes(topic, partition).await
    }

    async fn keyed(&self, topic: &str) -> Result<Arc<dyn Keyed>, LogError> {
        self.inner.keyed(topic).await
    }
}
