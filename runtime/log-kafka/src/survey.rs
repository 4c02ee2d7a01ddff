//! What the brokers say of themselves and of topics: for whoever looks for what is not running.

use crate::consequence;
use crate::log::KafkaLog;
use crate::shared::Shared;
use jackfield_log::LogError;
use std::collections::BTreeMap;
use std::time::Duration;

/// A cluster as one broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The brokers that are up, as `host:port`.
    pub brokers: Vec<String>,
    /// Topics by name, without the brokers' own.
    pub topics: BTreeMap<String, SurveyedTopic>,
}

/// A topic as its partitions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurveyedTopic {
    /// How many there are.
    pub partitions: i32,
    /// Copies of the partition that has the fewest.
    pub replicas: usize,
    /// Copies that are up to date, of the partition that has the fewest.
    pub in_sync: usize,
    /// Partitions that nobody leads: they can be neither read nor written.
    pub leaderless: usize,
}

impl KafkaLog {
    /// Asks a broker once. Tells too whether connections are let in: the credentials are right
    /// where this answers.
    ///
    /// # Errors
    /// No broker answers within `patience`, with the reason that the client has for it.
    pub async fn survey(&self, patience: Duration) -> Result<Survey, LogError> {
        let ask = move |shared: &Shared| survey(shared, patience);
        self.shared().blocking(ask).await
    }
}

fn survey(shared: &Shared, patience: Duration) -> Result<Survey, LogError> {
    let metadata = shared
        .admin()?
        .inner()
        .fetch_metadata(None, patience)
        .map_err(|e| consequence::kafka("the brokers do not answer", &e))
        .map_err(|error| shared.explained(error))?;
    let brokers = metadata.brokers().iter();
    let topics = metadata.topics().iter();
    Ok(Survey {
        brokers: brokers
            .map(|broker| format!("{}:{}", broker.host(), broker.port()))
            .collect(),
        topics: topics
            .filter(|topic| !topic.name().starts_with("__"))
            .map(|topic| {
                let parts = topic.partitions();
                let fewest = |of: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
                    parts.iter().map(of).min().unwrap_or(0)
                };
                let surveyed = SurveyedTopic {
                    partitions: i32::try_from(parts.len()).unwrap_or(i32::MAX),
                    replicas: fewest(|it| it.replicas().len()),
                    in_sync: fewest(|it| it.isr().len()),
                    leaderless: parts.iter().filter(|it| it.leader() < 0).count(),
                };
                (topic.name().to_owned(), surveyed)
            })
            .collect(),
    })
}
