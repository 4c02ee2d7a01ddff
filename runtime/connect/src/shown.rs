//! A connector of the file as a flat config.

use crate::FlatConfig;
use crate::keys;
use crate::nest::flatten;
use jackfield_config::{
    BadRecord, Delivery, FeedTopic, PipelineConfig, StartAt, show_bytes, show_duration,
};
use serde_json::Value;

/// The config that asks for a connector of a pipeline as it is; `None` when the pipeline has no
/// such connector. What it may reach is not in it: the file says that in `allow`. Secrets are not
/// masked yet.
pub fn config_of(
    connector: &str,
    pipeline: &PipelineConfig,
    schema: Option<&Value>,
) -> Option<FlatConfig> {
    let mut flat = FlatConfig::new();
    let mut put = |key: &str, value: String| drop(flat.insert(key.to_owned(), value));
    put(keys::NAME, connector.to_owned());
    put(keys::DELIVERY, delivery(pipeline.delivery).to_owned());
    put(
        keys::RETRY_TIMEOUT,
        pipeline.retry.deadline.as_millis().to_string(),
    );
    let source = pipeline
        .source
        .as_ref()
        .filter(|source| source.connector == connector);
    let sink = pipeline
        .sinks
        .values()
        .find(|sink| sink.connector == connector);
    let (settings, bad) = match (source, sink) {
        (Some(source), _) => {
            put(keys::CLASS, source.plugin.clone());
            put(keys::TASKS_MAX, source.slots_max.to_string());
            put(
                keys::TRANSACTION_RECORDS,
                pipeline.transaction.records_max.to_string(),
            );
            let linger = pipeline.transaction.linger;
            if !linger.is_zero() {
                put(keys::BOUNDARY, "interval".to_owned());
                put(keys::BOUNDARY_MS, linger.as_millis().to_string());
            }
            for (feed, topic) in &pipeline.topics {
                let topic = match topic {
                    FeedTopic::Topic(topic) => topic.name.clone(),
                    FeedTopic::Drop => "drop".to_owned(),
                };
                put(&format!("{}{feed}", keys::TOPIC_OF), topic);
            }
            (&source.settings, &source.on_bad_record)
        }
        (None, Some(sink)) => {
            put(keys::CLASS, sink.plugin.clone());
            put(keys::TASKS_MAX, sink.tasks.to_string());
            let topics: Vec<&str> = sink.topics.iter().map(|it| it.name.as_str()).collect();
            put(keys::TOPICS, topics.join(","));
            put(keys::COMMIT_EVERY, show_duration(sink.commit.every));
            put(keys::COMMIT_ROWS, sink.commit.rows_max.to_string());
            put(keys::COMMIT_BYTES, show_bytes(sink.commit.bytes_max));
            let start = match sink.start {
                StartAt::Earliest => "earliest",
                StartAt::Latest => "latest",
            };
            put(keys::OFFSET_RESET, start.to_owned());
            (&sink.settings, &sink.on_bad_record)
        }
        (None, None) => return None,
    };
    match bad {
        BadRecord::Stop => put(keys::TOLERANCE, "none".to_owned()),
        BadRecord::Skip => put(keys::TOLERANCE, "all".to_owned()),
        BadRecord::DeadLetter { topic } => {
            put(keys::TOLERANCE, "all".to_owned());
            put(keys::DEAD_LETTERS, topic.clone());
        }
    }
    flat.extend(settings_of(settings.value(), schema));
    Some(flat)
}

fn settings_of(settings: &Value, schema: Option<&Value>) -> FlatConfig {
    let keys = schema.and_then(|schema| flatten(schema, settings));
    match keys {
        Some(entries) => entries
            .into_iter()
            .map(|(path, text)| match keys::is_taken(&path) {
                true => (format!("settings.{path}"), text),
                false => (path, text),
            })
            .collect(),
        None if settings.as_object().is_some_and(|it| it.is_empty()) => FlatConfig::new(),
        None => FlatConfig::from([(keys::SETTINGS.to_owned(), settings.to_string())]),
    }
}

fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::AtLeastOnce => "at-least-once",
        Delivery::ExactlyOnce => "exactly-once",
    }
}
