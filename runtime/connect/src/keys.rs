//! The keys that the runtime itself understands, in Kafka Connect's names where it has one.

pub(crate) use crate::key_table::KEYS;
use jackfield_config::End;

/// A key that is honoured.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// As Kafka's `ConfigDef.Type`.
    pub(crate) kind: &'static str,
    pub(crate) default: Option<&'static str>,
    pub(crate) required: bool,
    /// The only end that has it; none: both.
    pub(crate) end: Option<End>,
    pub(crate) importance: &'static str,
    pub(crate) group: &'static str,
    pub(crate) title: &'static str,
    /// Words that it may be, if it is one of some.
    pub(crate) words: &'static [&'static str],
    pub(crate) doc: &'static str,
}

impl Key {
    pub(crate) fn is_of(&self, end: End) -> bool {
        self.end.is_none_or(|only| only == end)
    }
}

pub(crate) const NAME: &str = "name";
pub(crate) const CLASS: &str = "connector.class";
pub(crate) const VERSION: &str = "connector.plugin.version";
pub(crate) const TASKS_MAX: &str = "tasks.max";
pub(crate) const TASKS_ENFORCE: &str = "tasks.max.enforce";
pub(crate) const TOPICS: &str = "topics";
pub(crate) const KEY_CONVERTER: &str = "key.converter";
pub(crate) const VALUE_CONVERTER: &str = "value.converter";
pub(crate) const RELOAD: &str = "config.action.reload";
pub(crate) const TOLERANCE: &str = "errors.tolerance";
pub(crate) const RETRY_TIMEOUT: &str = "errors.retry.timeout";
pub(crate) const LOG_ENABLE: &str = "errors.log.enable";
pub(crate) const LOG_MESSAGES: &str = "errors.log.include.messages";
pub(crate) const DEAD_LETTERS: &str = "errors.deadletterqueue.topic.name";
pub(crate) const DEAD_LETTER_HEADERS: &str = "errors.deadletterqueue.context.headers.enable";
pub(crate) const EXACTLY_ONCE: &str = "exactly.once.support";
pub(crate) const BOUNDARY: &str = "transaction.boundary";
pub(crate) const BOUNDARY_MS: &str = "transaction.boundary.interval.ms";
pub(crate) const NEW_PARTITIONS: &str = "topic.creation.default.partitions";
pub(crate) const NEW_REPLICATION: &str = "topic.creation.default.replication.factor";
/// Further configs of topics that are created.
pub(crate) const NEW_CONFIGS: &str = "topic.creation.default.";
pub(crate) const OFFSET_RESET: &str = "consumer.override.auto.offset.reset";
pub(crate) const DELIVERY: &str = "jackfield.delivery";
pub(crate) const GRANT: &str = "jackfield.grant";
pub(crate) const COMMIT_EVERY: &str = "jackfield.commit.every";
pub(crate) const COMMIT_ROWS: &str = "jackfield.commit.rows";
pub(crate) const COMMIT_BYTES: &str = "jackfield.commit.bytes";
pub(crate) const TRANSACTION_RECORDS: &str = "jackfield.transaction.records";
/// The topic of a feed.
pub(crate) const TOPIC_OF: &str = "topic.";
/// Settings of the plugin whose names the runtime has taken.
pub(crate) const SETTINGS: &str = "settings";

/// The key of that name.
pub(crate) fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether a key is the runtime's and not a setting of the plugin: honoured or not.
pub(crate) fn is_taken(name: &str) -> bool {
    known(name).is_some()
        || name == SETTINGS
        || name.starts_with("settings.")
        || name.starts_with(TOPIC_OF)
        || name.starts_with("jackfield.")
        || crate::refused::reason(name).is_some()
}
