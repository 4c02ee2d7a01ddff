//! The log itself: the port over a cluster.

use crate::browse::{self, KafkaBrowser};
use crate::by_hand;
use crate::compacted::{self, Compaction};
use crate::config::KafkaConfig;
use crate::keyed::KafkaKeyed;
use crate::open;
use crate::positions::{self, Positions};
use crate::puts::Puts;
use crate::reader::KafkaReader;
use crate::shared::Shared;
use crate::table::Table;
use crate::topics;
use crate::writer::Delivery;
use async_trait::async_trait;
use jackfield_log::{
    Browser, Cleanup, Ends, Identity, Keyed, Log, LogError, Position, Reader, ReaderSpec, Stored,
    TopicInfo, TopicPartition, TopicSpec, Writer,
};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// A log over a Kafka cluster.
pub struct KafkaLog {
    shared: Arc<Shared>,
    puts: Arc<Puts>,
    positions: OnceCell<Arc<Table<Positions>>>,
    /// Topics of ours that were found to keep what is written to them.
    compacted: Mutex<HashSet<Uuid>>,
}

impl KafkaLog {
    /// Opens the log. Nothing is asked of the cluster yet.
    ///
    /// # Errors
    /// [`LogError::Rejected`], naming everything that is wrong about the configuration.
    pub fn open(config: KafkaConfig) -> Result<Arc<Self>, LogError> {
        Ok(Arc::new(Self {
            shared: Shared::new(config)?,
            puts: Arc::default(),
            positions: OnceCell::new(),
            compacted: Mutex::default(),
        }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    async fn open_writer(
        &self,
        identity: &Identity,
        delivery: Delivery,
    ) -> Result<Box<dyn Writer>, LogError> {
        self.positions().await?;
        let topic = self.shared.config.positions_topic();
        let writer = open::writer(&self.shared, identity, delivery, topic).await?;
        Ok(Box::new(writer))
    }

    async fn positions(&self) -> Result<&Arc<Table<Positions>>, LogError> {
        let config = &self.shared.config;
        self.positions
            .get_or_try_init(|| async {
                let topic = config.positions_topic();
                self.ensure_compacted(&topic, config.positions_partitions)
                    .await?;
                Table::new(Arc::clone(&self.shared), &topic)
            })
            .await
    }

    /// A topic of ours. One that there is may have any number of partitions, but must be compacted.
    async fn ensure_compacted(&self, topic: &str, partitions: i32) -> Result<(), LogError> {
        if let Some(described) = self.shared.describe(topic).await? {
            return self.check_compacted(topic, described.id).await;
        }
        let spec = TopicSpec {
            cleanup: Cleanup::Compact,
            ..TopicSpec::new(topic, partitions)
        };
        let made = topics::create(&self.shared, &spec).await?;
        // Somebody else may have made it meanwhile, otherwise.
        self.check_compacted(topic, made.id).await
    }

    /// Once for each topic whose policy is told.
    async fn check_compacted(&self, topic: &str, id: Uuid) -> Result<(), LogError> {
        if self.compacted().contains(&id) {
            return Ok(());
        }
        if compacted::check(&self.shared, topic).await? == Compaction::Kept {
            self.compacted().insert(id);
        }
        Ok(())
    }

    fn compacted(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.compacted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        topics::create(&self.shared, spec).await
    }

    async fn describe_topic(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        let described = self.shared.describe(name).await?;
        Ok(described.map(|it| topics::info(name, &it)))
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        topics::list(&self.shared).await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        topics::delete(&self.shared, name).await
    }

    async fn ends(&self, topic: &str, partition: i32) -> Result<Ends, LogError> {
        topics::existing(&self.shared, topic, partition).await?;
        let topic = topic.to_owned();
        self.shared
            .blocking(move |it| it.ends_now(&topic, partition))
            .await
    }

    async fn writer(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        self.open_writer(identity, Delivery::ExactlyOnce).await
    }

    async fn writer_at_least_once(&self, identity: &Identity) -> Result<Box<dyn Writer>, LogError> {
        self.open_writer(identity, Delivery::AtLeastOnce).await
    }

    async fn stored(&self, identity: &Identity) -> Result<Stored, LogError> {
        let identity = identity.clone();
        self.positions()
            .await?
            .read(move |it| it.stored(&identity.connector, &identity.slot))
            .await
    }

    async fn set_positions(&self, connector: &str, positions: &[Position]) -> Result<(), LogError> {
        self.positions().await?;
        let puts: Result<Vec<_>, _> = positions
            .iter()
            .map(|position| positions::put(connector, position))
            .collect();
        let topic = self.shared.config.positions_topic();
        self.puts.put(&self.shared, &topic, &puts?).await
    }

    async fn reader(&self, spec: &ReaderSpec) -> Result<Box<dyn Reader>, LogError> {
        let reader = KafkaReader::join(&self.shared, spec).await?;
        Ok(Box::new(reader))
    }

    async fn group_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, i64)>, LogError> {
        by_hand::offsets(&self.shared, group, topics).await
    }

    async fn set_group_offsets(
        &self,
        group: &str,
        topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), LogError> {
        for (at, _) in offsets {
            topics::existing(&self.shared, &at.topic, at.partition).await?;
        }
        by_hand::set(&self.shared, group, topics, offsets).await
    }

    async fn browse(&self, topic: &str, from: &[(i32, i64)]) -> Result<Box<dyn Browser>, LogError> {
        let browser = KafkaBrowser::open(&self.shared, topic, from).await?;
        Ok(Box::new(browser))
    }

    async fn offset_at(&self, topic: &str, partition: i32, time_ms: i64) -> Result<i64, LogError> {
        topics::existing(&self.shared, topic, partition).await?;
        let topic = topic.to_owned();
        let ask = move |it: &Shared| browse::offset_at(it, &topic, partition, time_ms);
        self.shared.blocking(ask).await
    }

    async fn bytes(&self, topic: &str, partition: i32) -> Result<Option<u64>, LogError> {
        topics::existing(&self.shared, topic, partition).await?;
        // Brokers tell the sizes of their folders to clients that speak a request which librdkafka
        // does not.
        Ok(None)
    }

    async fn keyed(&self, topic: &str) -> Result<Arc<dyn Keyed>, LogError> {
        self.ensure_compacted(topic, 1).await?;
        Ok(Arc::new(KafkaKeyed {
            shared: Arc::clone(&self.shared),
            puts: Arc::clone(&self.puts),
            topic: topic.to_owned(),
            table: Table::new(Arc::clone(&self.shared), topic)?,
        }))
    }
}
