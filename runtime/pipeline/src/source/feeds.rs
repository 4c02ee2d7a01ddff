//! Where each feed's records go, and under which schemas.

use crate::failures::Failed;
use crate::host::Host;
use crate::partitioner::Partitioner;
use crate::spec::Topic;
use jackfield_batch::SchemaIds;
use jackfield_core::Consequence;
use jackfield_log::{Cleanup, TopicSpec};
use jackfield_plugin::{Feed, Schema as PluginSchema, SchemaKind as PluginSchemaKind};
use jackfield_schema::{Part, Schema, SchemaKind};
use jackfield_telemetry::{ConnectorMetrics, CounterHandle};
use std::collections::BTreeMap;
use std::panic;
use std::sync::Arc;
use tokio::task::JoinError;
use tracing::Instrument;
use uuid::Uuid;

/// One feed's way.
#[derive(Debug)]
pub(crate) enum Route {
    /// To a topic.
    To {
        topic: Arc<str>,
        id: Uuid,
        ids: SchemaIds,
        partitioner: Partitioner,
        /// Counts its records.
        counted: CounterHandle,
    },
    /// Nowhere.
    Dropped,
}

/// The routes of all feeds told so far, by their number.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
}

impl Routes {
    /// Appends `feeds`: creates their topics, and registers their schemas under the subjects'
    /// compatibility before any record of them is written.
    pub(crate) async fn extend(
        &mut self,
        feeds: Vec<Feed>,
        topics: &BTreeMap<String, Topic>,
        host: &Host,
        metrics: &ConnectorMetrics,
    ) -> Result<(), Failed> {
        for feed in feeds {
            let route = route(&feed, topics, host, metrics).await?;
            self.routes.push(route);
        }
        Ok(())
    }

    /// The route of a feed; `None` for a number that was never told.
    pub(crate) fn get(&mut self, feed: u32) -> Option<&mut Route> {
        self.routes.get_mut(feed as usize)
    }
}

async fn route(
    feed: &Feed,
    topics: &BTreeMap<String, Topic>,
    host: &Host,
    metrics: &ConnectorMetrics,
) -> Result<Route, Failed> {
    let (name, partitions, configs) = match topics.get(&feed.name) {
        Some(Topic::Named {
            name,
            partitions,
            configs,
        }) => (name, *partitions, configs),
        Some(Topic::Dropped) => return Ok(Route::Dropped),
        None => {
            return Err(Failed::for_good(
                "open",
                format!(
                    "the source produces the feed `{0}`, which has no topic: name one under `topics.{0}`, or say `{0}: drop`",
                    feed.name
                ),
            ));
        }
    };
    let spec = TopicSpec {
        name: name.clone(),
        partitions,
        replication: None,
        cleanup: Cleanup::Delete,
        configs: configs.clone(),
    };
    let info = host
        .log
        .create_topic(&spec)
        .await
        .map_err(|e| Failed::log("create topic", e))?;
    let value = register(host, name, Part::Value, &feed.value).await?;
    let key = match &feed.key {
        Some(schema) => register(host, name, Part::Key, schema).await?,
        None => 0,
    };
    Ok(Route::To {
        topic: info.name.clone(),
        id: info.id,
        ids: SchemaIds { value, key },
        partitioner: Partitioner::new(info.partitions),
        counted: metrics.topic_records(&info.name),
    })
}

async fn register(
    host: &Host,
    topic: &str,
    part: Part,
    schema: &PluginSchema,
) -> Result<u32, Failed> {
    let kind = match schema.kind {
        PluginSchemaKind::Avro => SchemaKind::Avro,
        PluginSchemaKind::Json => SchemaKind::Json,
        PluginSchemaKind::None => return Ok(0),
    };
    let schema = Schema {
        kind,
        text: schema.text.clone(),
    };
    let subject = host
        .subjects
        .subject(topic, part, &schema)
        .map_err(|e| Failed::schema("register schema", e))?;
    let registry = Arc::clone(&host.registry);
    // By a task of its own, which sees it through though nobody waits any more: what is dropped
    // half-way could land after all, under an id that the next one is given as well.
    let registering = async move { registry.register(&subject, &schema).await };
    let registered = tokio::spawn(registering.in_current_span()).await;
    match registered.map_err(JoinError::try_into_panic) {
        Ok(registered) => registered.map_err(|e| Failed::schema("register schema", e)),
        Err(Ok(broken)) => panic::resume_unwind(broken),
        Err(Err(cancelled)) => {
            let reason = format!("it was cut off: {cancelled}");
            Err(Failed::new("register schema", Consequence::Rewind, reason))
        }
    }
}
