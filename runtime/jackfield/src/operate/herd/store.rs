//! Connectors made over REST, and what each connector is to do, in a compacted topic with the
//! records of Kafka Connect's config topic.

use jackfield_connect::{
    ConfigRecord, FlatConfig, TargetState, config_key, logger_key, parse_entry, target_state_key,
};
use jackfield_log::{Log, LogError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the topic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) connectors: BTreeMap<String, FlatConfig>,
    pub(super) targets: BTreeMap<String, TargetState>,
    pub(super) levels: BTreeMap<String, String>,
}

/// The topic.
pub(super) struct Store {
    log: Arc<dyn Log>,
    topic: String,
}

impl Store {
    pub(super) fn new(log: Arc<dyn Log>, cluster: &str) -> Self {
        Self {
            log,
            topic: format!("{cluster}-configs"),
        }
    }

    /// All of it, with every change that was made before.
    pub(super) async fn read(&self) -> Result<Kept, LogError> {
        let entries = self.log.keyed(&self.topic).await?.entries().await?;
        let mut kept = Kept::default();
        for (key, value) in entries {
            match parse_entry(&key, &value) {
                ConfigRecord::Connector(name, config) => {
                    kept.connectors.insert(name, config);
                }
                ConfigRecord::Target(name, state) => {
                    kept.targets.insert(name, state);
                }
                ConfigRecord::Level(logger, level) => {
                    kept.levels.insert(logger, level);
                }
                ConfigRecord::Other => {}
                ConfigRecord::Unreadable(why) => {
                    tracing::warn!(topic = %self.topic, key, why, "an entry can't be read and counts for nothing");
                }
            }
        }
        Ok(kept)
    }

    /// Keeps a config. When a connector is new, its target state is kept before, so that nobody
    /// starts what is to be stopped.
    pub(super) async fn keep(&self, connector: &str, config: &FlatConfig) -> Result<(), LogError> {
        let value = ConfigRecord::config_value(config);
        self.put(&config_key(connector), Some(&value)).await
    }

    pub(super) async fn keep_target(
        &self,
        connector: &str,
        target: TargetState,
    ) -> Result<(), LogError> {
        let value = target.to_value();
        self.put(&target_state_key(connector), Some(&value)).await
    }

    /// Forgets a connector; its positions stay.
    pub(super) async fn forget(&self, connector: &str) -> Result<(), LogError> {
        self.put(&config_key(connector), None).await?;
        self.put(&target_state_key(connector), None).await
    }

    pub(super) async fn keep_level(&self, logger: &str, level: &str) -> Result<(), LogError> {
        let value = ConfigRecord::level_value(level);
        self.put(&logger_key(logger), Some(&value)).await
    }

    async fn put(&self, key: &str, value: Option<&str>) -> Result<(), LogError> {
        self.log.keyed(&self.topic).await?.put(key, value).await
    }
}
