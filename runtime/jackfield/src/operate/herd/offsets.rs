//! How far connectors have come. A source's positions lie in the log, and decide. A sink's lie with
//! its target; the offsets of its group in the log are for displays, and decide where no target
//! knows better. So what the log keeps of targets that could not be told gives way to what is set
//! here.

use super::Herd;
use super::objections::{bad, log, not_forgotten};
use crate::declared::{Declared, End};
use jackfield_admin::Objection;
use jackfield_connect::entities::{ConnectorOffset, ConnectorOffsets, Message};
use jackfield_log::{Identity, LogError, Position, TopicPartition};
use jackfield_pipeline::{ByHand, offsets_set_by_hand};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Any slot: positions are those of all.
const ANY_SLOT: &str = "0";

impl Herd {
    pub(super) async fn offsets_of(&self, connector: &str) -> Result<ConnectorOffsets, Objection> {
        self.known(connector)?;
        let offsets = match self.loader.declared(connector) {
            None => Vec::new(),
            Some(declared) => match &declared.end {
                End::Source { .. } => self.source_offsets(connector).await?,
                End::Sink { .. } => self.sink_offsets(&declared).await?,
            },
        };
        Ok(ConnectorOffsets { offsets })
    }

    async fn source_offsets(&self, connector: &str) -> Result<Vec<ConnectorOffset>, Objection> {
        let stored = self.positions(connector).await?;
        let offsets = stored.into_iter().filter_map(|position| {
            Some(ConnectorOffset {
                partition: serde_json::from_str(&position.partition).ok()?,
                offset: serde_json::from_str(&position.offset?).ok()?,
            })
        });
        Ok(offsets.collect())
    }

    async fn positions(&self, connector: &str) -> Result<Vec<Position>, Objection> {
        let identity = Identity {
            cluster: self.cluster.clone(),
            connector: connector.to_owned(),
            slot: ANY_SLOT.to_owned(),
        };
        let stored = self.log.stored(&identity).await;
        Ok(stored.map_err(|it| not_read(&it))?.positions)
    }

    async fn sink_offsets(&self, declared: &Declared) -> Result<Vec<ConnectorOffset>, Objection> {
        let topics = topics(declared);
        let group = declared.connector();
        let committed = self.log.group_offsets(group, &topics).await;
        let committed = committed.map_err(|it| not_read(&it))?;
        let offsets = committed.into_iter().map(|(at, offset)| ConnectorOffset {
            partition: map(json!({
                "kafka_topic": &*at.topic,
                "kafka_partition": at.partition,
            })),
            offset: Some(map(json!({ "kafka_offset": offset }))),
        });
        Ok(offsets.collect())
    }

    pub(super) async fn set_offsets(
        &self,
        connector: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<Message, Objection> {
        let _one = self.changing.lock().await;
        let declared = self.at_rest(connector).await?;
        match &declared.end {
            End::Source { .. } => {
                let positions = offsets.into_iter().map(position).collect::<Vec<_>>();
                self.set_positions(connector, &positions).await?;
                Ok(message(
                    "The offsets for this connector have been altered successfully",
                ))
            }
            End::Sink { .. } => {
                let topics = topics(&declared);
                let mut set = Vec::with_capacity(offsets.len());
                for one in offsets {
                    set.push(group_offset(one, &topics)?);
                }
                self.set_group(connector, &topics, &set).await?;
                let places: Vec<_> = set.into_iter().map(|(at, _)| at).collect();
                self.forget_kept(connector, ByHand::Of(&places)).await?;
                Ok(message(ALTERED_HERE))
            }
        }
    }

    pub(super) async fn forget_offsets(&self, connector: &str) -> Result<Message, Objection> {
        let _one = self.changing.lock().await;
        let declared = self.at_rest(connector).await?;
        match &declared.end {
            End::Source { .. } => {
                let mut positions = self.positions(connector).await?;
                positions.iter_mut().for_each(|it| it.offset = None);
                self.set_positions(connector, &positions).await?;
                Ok(message(
                    "The offsets for this connector have been reset successfully",
                ))
            }
            End::Sink { .. } => {
                let topics = topics(&declared);
                let gone = self.partitions_of(&topics).await?;
                let gone: Vec<_> = gone.into_iter().map(|at| (at, None)).collect();
                self.set_group(connector, &topics, &gone).await?;
                self.forget_kept(connector, ByHand::All).await?;
                Ok(message(RESET_HERE))
            }
        }
    }

    /// Positions of what runs are its own.
    async fn at_rest(&self, connector: &str) -> Result<Declared, Objection> {
        self.known(connector)?;
        let declared = self.loader.declared(connector);
        match declared {
            Some(declared) if self.is_stopped(connector).await? => Ok(declared),
            Some(_) | None => Err(bad(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/{connector}/stop' endpoint"
            ))),
        }
    }

    async fn set_positions(&self, connector: &str, all: &[Position]) -> Result<(), Objection> {
        let set = self.log.set_positions(connector, all).await;
        set.map_err(|error| log("the offsets can't be set", &error))
    }

    /// All, also those of which the group has committed nothing: a worker that is still ending the
    /// connector may be about to.
    async fn partitions_of(&self, topics: &[String]) -> Result<Vec<TopicPartition>, Objection> {
        let mut partitions = Vec::new();
        for topic in topics {
            let described = self.log.describe_topic(topic).await;
            if let Some(described) = described.map_err(|it| not_read(&it))? {
                let numbers = 0..described.partitions;
                partitions.extend(numbers.map(|it| TopicPartition::new(topic.as_str(), it)));
            }
        }
        Ok(partitions)
    }

    async fn set_group(
        &self,
        connector: &str,
        topics: &[String],
        offsets: &[(TopicPartition, Option<i64>)],
    ) -> Result<(), Objection> {
        let set = self.log.set_group_offsets(connector, topics, offsets).await;
        set.map_err(|error| log("the offsets can't be set", &error))
    }

    /// Comes after the group's offsets, which nobody can set while the connector still reads.
    async fn forget_kept(&self, connector: &str, by_hand: ByHand<'_>) -> Result<(), Objection> {
        let forgotten = offsets_set_by_hand(&*self.log, &self.cluster, connector, by_hand).await;
        forgotten.map_err(|failed| not_forgotten(&failed))
    }
}

/// Kafka Connect's own words where a sink keeps its offsets elsewhere too.
const ALTERED_HERE: &str = "The Connect framework-managed offsets for this connector have been altered successfully. However, if this connector manages offsets externally, they will need to be manually altered in the system that the connector uses.";
const RESET_HERE: &str = "The Connect framework-managed offsets for this connector have been reset successfully. However, if this connector manages offsets externally, they will need to be manually reset in the system that the connector uses.";

fn message(text: &str) -> Message {
    Message {
        message: text.to_owned(),
    }
}

fn not_read(error: &LogError) -> Objection {
    log("the offsets can't be read", error)
}

fn topics(declared: &Declared) -> Vec<String> {
    match &declared.end {
        End::Source { .. } => Vec::new(),
        End::Sink { config, .. } => config.topics.iter().map(|it| it.name.clone()).collect(),
    }
}

/// Keys sorted, no white space: a map of keys says it so.
fn position(offset: ConnectorOffset) -> Position {
    let text = |it: &BTreeMap<String, Value>| json!(it).to_string();
    Position {
        partition: text(&offset.partition),
        offset: offset.offset.as_ref().map(text),
    }
}

fn group_offset(
    given: ConnectorOffset,
    topics: &[String],
) -> Result<(TopicPartition, Option<i64>), Objection> {
    const SHAPE: &str = "a sink's partition is `{kafka_topic, kafka_partition}`, its offset `{kafka_offset}`, from 0";
    let topic = given.partition.get("kafka_topic").and_then(Value::as_str);
    let number = |of: Option<&Value>| {
        let text = of.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
        text.and_then(|it| it.parse::<i64>().ok())
            .filter(|it| *it >= 0)
    };
    let partition = number(given.partition.get("kafka_partition"));
    let (Some(topic), Some(Ok(partition))) = (topic, partition.map(i32::try_from)) else {
        return Err(bad(SHAPE));
    };
    if !topics.iter().any(|it| it == topic) {
        return Err(bad(format!("the connector does not read {topic}")));
    }
    let offset = match &given.offset {
        None => None,
        Some(offset) => Some(number(offset.get("kafka_offset")).ok_or_else(|| bad(SHAPE))?),
    };
    Ok((TopicPartition::new(topic, partition), offset))
}

fn map(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(object) => object.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}
