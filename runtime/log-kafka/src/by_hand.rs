//! Offsets of groups, looked at and set by hand.

use crate::config::KafkaConfig;
use crate::consequence;
use crate::context::Context;
use crate::native::Raw;
use crate::oauth::Given;
use crate::shared::{REQUEST_TIMEOUT, Shared};
use jackfield_log::{LogError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long members that are leaving may take: until then the group's broker refuses.
const EMPTY_WITHIN: Duration = Duration::from_secs(15);
/// Before it is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// What a group has committed in these topics.
pub(crate) async fn offsets(
    shared: &Arc<Shared>,
    group: &str,
    topics: &[String],
) -> Result<Vec<(TopicPartition, i64)>, LogError> {
    let (group, topics) = (group.to_owned(), topics.to_vec());
    shared
        .blocking(move |it| committed(it, &group, &topics))
        .await
}

/// Sets offsets, or deletes them. Kafka deletes a group as a whole: what is to stay is written
/// again.
pub(crate) async fn set(
    shared: &Arc<Shared>,
    group: &str,
    topics: &[String],
    offsets: &[(TopicPartition, Option<i64>)],
) -> Result<(), LogError> {
    let now = self::offsets(shared, group, topics).await?;
    let mut then: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    // A group is asked whether it has members also where there is nothing to set.
    let deletes = offsets.is_empty() || offsets.iter().any(|(_, offset)| offset.is_none());
    if deletes {
        then.extend(now);
    }
    for (at, offset) in offsets {
        match offset {
            Some(offset) => drop(then.insert(at.clone(), *offset)),
            None => drop(then.remove(at)),
        }
    }
    if deletes {
        delete(shared, group).await?;
    }
    if then.is_empty() {
        return Ok(());
    }
    let group = group.to_owned();
    shared.blocking(move |it| commit(it, &group, &then)).await
}

/// A consumer that never joins.
fn consumer(shared: &Shared, group: &str, what: &str) -> Result<BaseConsumer<Context>, LogError> {
    let config = &shared.config;
    let native = KafkaConfig::silent(config.consumer(&config.group(group)));
    let consumer = BaseConsumer::from_config_and_context(&native, shared.context())
        .map_err(|e| consequence::kafka(what, &e))?;
    let file = config.oauth_token_file.as_ref();
    Given::default().refresh(Raw::of(consumer.client()), file)?;
    Ok(consumer)
}

fn committed(
    shared: &Shared,
    group: &str,
    topics: &[String],
) -> Result<Vec<(TopicPartition, i64)>, LogError> {
    const WHAT: &str = "a group's offsets can't be read";
    let mut names = topics.to_vec();
    names.sort();
    names.dedup();
    let described = shared.describe_now(&names)?;
    let mut list = TopicPartitionList::new();
    for (name, topic) in names.iter().zip(described) {
        for partition in 0..topic.map_or(0, |it| it.partitions) {
            list.add_partition(name, partition);
        }
    }
    if list.count() == 0 {
        return Ok(Vec::new());
    }
    let found = consumer(shared, group, WHAT)?
        .committed_offsets(list, REQUEST_TIMEOUT)
        .map_err(|e| consequence::kafka(WHAT, &e))?;
    let offsets = found.elements();
    Ok(offsets
        .iter()
        .filter_map(|it| match it.offset() {
            Offset::Offset(offset) => {
                Some((TopicPartition::new(it.topic(), it.partition()), offset))
            }
            Offset::Beginning
            | Offset::End
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_) => None,
        })
        .collect())
}

fn commit(
    shared: &Shared,
    group: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<(), LogError> {
    const WHAT: &str = "a group's offsets can't be set";
    let mut list = TopicPartitionList::new();
    for (at, offset) in offsets {
        list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
            .map_err(|e| consequence::kafka(WHAT, &e))?;
    }
    let consumer = consumer(shared, group, WHAT)?;
    let deadline = Instant::now() + EMPTY_WITHIN;
    loop {
        let error = match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let members = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::RebalanceInProgress
            )
        );
        if !members {
            return Err(consequence::kafka(WHAT, &error));
        }
        if Instant::now() >= deadline {
            return Err(has_members(group));
        }
        std::thread::park_timeout(AGAIN);
    }
}

async fn delete(shared: &Arc<Shared>, group: &str) -> Result<(), LogError> {
    let name = shared.config.group(group);
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let what = format!("the group {name} can't be deleted");
    let deadline = Instant::now() + EMPTY_WITHIN;
    loop {
        let deleted = shared
            .admin()?
            .delete_groups(&[name.as_str()], &options)
            .await;
        let deleted = deleted.map_err(|e| consequence::kafka(&what, &e))?;
        match deleted.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) if Instant::now() < deadline => {
                tokio::time::sleep(AGAIN).await;
            }
            Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) => return Err(has_members(group)),
            // There was none, which is as good.
            Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) | Some(Ok(_)) | None => {
                return Ok(());
            }
            Some(Err((_, code))) => {
                return Err(consequence::error(code, format!("{what}: {code}")));
            }
        }
    }
}

fn has_members(group: &str) -> LogError {
    LogError::Rejected(format!("the group {group} has members"))
}
