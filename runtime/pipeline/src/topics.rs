//! Topics that a connector needs beside those it writes its records to.

use crate::failures::Failed;
use crate::host::Host;
use crate::spec::{OnBadRecord, ReadTopic};
use jackfield_log::{Cleanup, LogError, TopicSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Creates a topic where there is none. A sink may be up before any source wrote: what is there
/// already stays as it is.
pub(crate) async fn create(host: &Host, topic: &ReadTopic) -> Result<(), Failed> {
    if exists(host, &topic.name).await? {
        return Ok(());
    }
    let spec = TopicSpec {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication: None,
        cleanup: Cleanup::Delete,
        configs: topic.configs.clone(),
    };
    match host.log.create_topic(&spec).await {
        Ok(_) => Ok(()),
        // Others made it in between, and otherwise than this connector would have.
        Err(LogError::Rejected(_)) if exists(host, &topic.name).await? => Ok(()),
        Err(error) => Err(Failed::log("create topic", error)),
    }
}

/// The partitions of all of these topics. One that others made may have more or fewer than it would
/// have been created with.
pub(crate) async fn partitions(host: &Host, topics: &[ReadTopic]) -> Result<usize, Failed> {
    let names: BTreeSet<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let mut partitions = 0;
    for name in names {
        let described = host.log.describe_topic(name).await;
        let described = described.map_err(|e| Failed::log("describe topic", e))?;
        let of_topic = described.map_or(0, |topic| topic.partitions);
        partitions += usize::try_from(of_topic).unwrap_or_default();
    }
    Ok(partitions)
}

/// Creates the topic of dead letters, if the connector has one.
pub(crate) async fn create_dead_letters(host: &Host, to: &OnBadRecord) -> Result<(), Failed> {
    match to {
        OnBadRecord::Stop | OnBadRecord::Skip => Ok(()),
        OnBadRecord::DeadLetter { topic } => {
            let topic = ReadTopic {
                name: topic.clone(),
                partitions: 1,
                configs: BTreeMap::new(),
            };
            create(host, &topic).await
        }
    }
}

async fn exists(host: &Host, topic: &str) -> Result<bool, Failed> {
    let described = host.log.describe_topic(topic).await;
    Ok(described
        .map_err(|e| Failed::log("describe topic", e))?
        .is_some())
}
