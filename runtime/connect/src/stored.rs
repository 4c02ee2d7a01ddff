//! Configs and target states as Kafka Connect keeps them in its config topic
//! (`KafkaConfigBackingStore`): `connector-<name>` → `{"properties": {…}}`,
//! `target-state-<name>` → `{"state": …, "state.v2": …}`, `logger-cluster-<logger>` →
//! `{"level": …}`. What else may lie there (`task-…`,
//! `commit-…`) says nothing to us: tasks follow from the config.

use crate::FlatConfig;
use serde_json::{Value, json};

const CONNECTOR: &str = "connector-";
const TARGET_STATE: &str = "target-state-";
const LEVEL: &str = "logger-cluster-";

/// What a connector is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetState {
    /// Run.
    #[default]
    Started,
    /// Keep what it has and take nothing more.
    Paused,
    /// Be gone, but for its config and positions.
    Stopped,
}

impl TargetState {
    /// In Kafka Connect's words, `RUNNING` for started as in its requests.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "STARTED" | "RUNNING" => Some(Self::Started),
            "PAUSED" => Some(Self::Paused),
            "STOPPED" => Some(Self::Stopped),
            _ => None,
        }
    }

    /// The value that is kept. `state` is for workers that do not know STOPPED.
    pub fn to_value(self) -> String {
        let (state, v2) = match self {
            Self::Started => ("STARTED", "STARTED"),
            Self::Paused => ("PAUSED", "PAUSED"),
            Self::Stopped => ("PAUSED", "STOPPED"),
        };
        json!({ "state": state, "state.v2": v2 }).to_string()
    }
}

/// An entry of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigRecord {
    /// A connector and its config.
    Connector(String, FlatConfig),
    /// What a connector is to do.
    Target(String, TargetState),
    /// A level that was set for all workers.
    Level(String, String),
    /// Nothing that we read.
    Other,
    /// It should be one of ours and can't be read: why, without its values, which may be secret.
    Unreadable(String),
}

/// The key of a connector's config.
pub fn config_key(connector: &str) -> String {
    format!("{CONNECTOR}{connector}")
}

/// The key of a connector's target state.
pub fn target_state_key(connector: &str) -> String {
    format!("{TARGET_STATE}{connector}")
}

/// The key of a logger's level for all workers.
pub fn logger_key(logger: &str) -> String {
    format!("{LEVEL}{logger}")
}

impl ConfigRecord {
    /// The value that keeps a level.
    pub fn level_value(level: &str) -> String {
        json!({ "level": level }).to_string()
    }

    /// The value that keeps a config.
    pub fn config_value(config: &FlatConfig) -> String {
        json!({ "properties": config }).to_string()
    }
}

/// Reads an entry.
pub fn parse_entry(key: &str, value: &str) -> ConfigRecord {
    entry(key, value).unwrap_or_else(ConfigRecord::Unreadable)
}

fn entry(key: &str, text: &str) -> Result<ConfigRecord, String> {
    // What is wrong with JSON is told by its place, not by what stands there.
    let value = || serde_json::from_str::<Value>(text).map_err(|e| format!("not JSON: {e}"));
    if let Some(name) = key.strip_prefix(CONNECTOR) {
        let value = value()?;
        // The error would show a value, which may be a secret.
        let config: FlatConfig = value
            .get("properties")
            .and_then(|it| serde_json::from_value(it.clone()).ok())
            .ok_or("its `properties` are not texts by name")?;
        return Ok(ConfigRecord::Connector(name.to_owned(), config));
    }
    if let Some(name) = key.strip_prefix(TARGET_STATE) {
        let value = value()?;
        let state = value
            .get("state.v2")
            .or_else(|| value.get("state"))
            .and_then(Value::as_str)
            .and_then(TargetState::parse)
            .ok_or("neither its `state.v2` nor its `state` is one that a connector can have")?;
        return Ok(ConfigRecord::Target(name.to_owned(), state));
    }
    if let Some(logger) = key.strip_prefix(LEVEL) {
        let value = value()?;
        let level = value
            .get("level")
            .and_then(Value::as_str)
            .ok_or("its `level` is not a text")?;
        return Ok(ConfigRecord::Level(logger.to_owned(), level.to_owned()));
    }
    Ok(ConfigRecord::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_kafka_connect_writes_them() {
        let config = FlatConfig::from([("name".to_owned(), "a".to_owned())]);
        assert_eq!(
            parse_entry("connector-a", &ConfigRecord::config_value(&config)),
            ConfigRecord::Connector("a".to_owned(), config)
        );
        for state in [
            TargetState::Started,
            TargetState::Paused,
            TargetState::Stopped,
        ] {
            assert_eq!(
                parse_entry("target-state-a", &state.to_value()),
                ConfigRecord::Target("a".to_owned(), state)
            );
        }
        assert_eq!(
            parse_entry("target-state-a", r#"{"state":"PAUSED"}"#),
            ConfigRecord::Target("a".to_owned(), TargetState::Paused)
        );
        assert_eq!(
            parse_entry(&logger_key("root"), &ConfigRecord::level_value("DEBUG")),
            ConfigRecord::Level("root".to_owned(), "DEBUG".to_owned())
        );
        assert_eq!(
            parse_entry("commit-a", r#"{"tasks":1}"#),
            ConfigRecord::Other
        );
    }

    #[test]
    fn why_an_entry_cannot_be_read_is_told_without_its_values() {
        for (key, value, part) in [
            ("connector-a", "{", "line 1 column 1"),
            ("connector-a", r#"{"properties":{"a":5150}}"#, "properties"),
            ("connector-a", "{}", "properties"),
            ("target-state-a", r#"{"state":"5150"}"#, "`state`"),
            ("logger-cluster-a", r#"{"level":5150}"#, "`level`"),
        ] {
            let ConfigRecord::Unreadable(why) = parse_entry(key, value) else {
                panic!("{key}: {value}");
            };
            assert!(why.contains(part) && !why.contains("5150"), "{why}");
        }
    }
}
