//! What the page is told of the connectors: figures every second, the rest when somebody looks.

use super::masked::masked;
use crate::declared::{Declared, End};
use crate::progress;
use jackfield_config::{BadRecord, CommitConfig, Delivery, FeedTopic, Grants};
use jackfield_pipeline::{Outcome, Status, SwapReport, Version, VersionName};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock, ms since the epoch: what figures are told by.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// A connector's figures. Without ages, so that they are the same until something happens.
/// `started_ms`: when the pipelines' clock started, ms since the epoch.
pub(super) fn figures(
    status: &Status,
    declared: Option<&Declared>,
    plugin: Option<VersionName>,
    last_swap: Option<&SwapReport>,
    started_ms: i64,
) -> Value {
    let report = status.report();
    let last_commit_ms = report.last_commit.map(|at| started_ms + millis(at));
    let swap = last_swap.map(|it| json!({ "number": it.number, "outcome": outcome(&it.outcome) }));
    json!({
        "name": report.connector,
        "pipeline": report.pipeline,
        "type": if report.source { "source" } else { "sink" },
        "state": progress::word(&report.state),
        "trace": report.state.trace(),
        "failed_targets": report.failed_targets,
        "plugin": plugin,
        "records": report.records,
        "lag": report.lag,
        "open": report.open,
        "committed": report.committed,
        "last_commit_ms": last_commit_ms,
        "failures": report.failures,
        "cpu_ms": millis(report.cpu),
        "memory_bytes": report.memory_bytes,
        "topics": flows(declared, &status.by_topic()),
        "swap": swap,
    })
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Prepared => "prepared",
        Outcome::OnProbation => "on-probation",
        Outcome::Kept => "kept",
        Outcome::RolledBack { .. } => "rolled-back",
    }
}

/// The topics that a connector is declared for, with what it took of each; and those of before.
fn flows(declared: Option<&Declared>, records: &BTreeMap<Arc<str>, u64>) -> Vec<Value> {
    let named = declared.map(topic_names).unwrap_or_default();
    let others = records.keys().map(|name| &**name);
    let others: Vec<&str> = others.filter(|name| !named.contains(name)).collect();
    let all = named.into_iter().chain(others);
    all.map(|name| json!({ "name": name, "records": records.get(name).copied().unwrap_or(0) }))
        .collect()
}

fn topic_names(declared: &Declared) -> Vec<&str> {
    match &declared.end {
        End::Source { topics, .. } => topics.values().filter_map(written).collect(),
        End::Sink { config, .. } => config.topics.iter().map(|it| &*it.name).collect(),
    }
}

fn written(topic: &FeedTopic) -> Option<&str> {
    match topic {
        FeedTopic::Topic(topic) => Some(&topic.name),
        FeedTopic::Drop => None,
    }
}

/// What a connector is made of, and what went wrong last.
pub(super) fn details(
    status: &Status,
    declared: Option<&Declared>,
    version: Option<&Version>,
) -> Value {
    let mut told = declared.map_or_else(|| json!({ "allow": [], "topics": [] }), made_of);
    let given = declared.map(|it| masked(it.settings().value(), ""));
    // What runs, with the schema's defaults, once it has begun.
    let whole = version.and_then(|it| {
        let settings: Value = serde_json::from_str(&it.plugged.settings).ok()?;
        Some(masked(&settings, &it.description.settings_schema))
    });
    told["settings"] = whole.or(given).unwrap_or_else(|| json!({}));
    told["failures"] = json!(status.failures());
    told
}

fn made_of(declared: &Declared) -> Value {
    let mut told = json!({
        "declared_in": declared.settings().file(),
        "delivery": match declared.delivery {
            Delivery::AtLeastOnce => "at-least-once",
            Delivery::ExactlyOnce => "exactly-once",
        },
        "plugin": declared.plugin_name(),
        "file": declared.plugin.file.display().to_string(),
        "memory_bytes_max": declared.plugin.memory_bytes_max,
    });
    match &declared.end {
        End::Source { config, topics, .. } => {
            told["slots_max"] = config.slots_max.into();
            told["on_bad_record"] = bad_record(&config.on_bad_record).into();
            told["allow"] = allowed(&config.allow).into();
            told["topics"] = topics
                .iter()
                .map(|(feed, topic)| json!({ "feed": feed, "name": written(topic) }))
                .collect();
        }
        End::Sink { config, .. } => {
            let CommitConfig {
                every,
                rows_max,
                bytes_max,
            } = config.commit;
            told["tasks"] = config.tasks.into();
            told["commit"] =
                json!({ "every_ms": millis(every), "rows": rows_max, "bytes": bytes_max });
            told["on_bad_record"] = bad_record(&config.on_bad_record).into();
            told["allow"] = allowed(&config.allow).into();
            told["topics"] = config
                .topics
                .iter()
                .map(|topic| json!({ "name": topic.name }))
                .collect();
        }
    }
    told
}

fn bad_record(bad: &BadRecord) -> String {
    match bad {
        BadRecord::Stop => "stop".to_owned(),
        BadRecord::Skip => "skip".to_owned(),
        BadRecord::DeadLetter { topic } => format!("dead letter to {topic}"),
    }
}

/// Each grant in a line. Headers are named, what they hold is not told.
fn allowed(grants: &Grants) -> Vec<String> {
    let lake = grants.lake.iter().map(|lake| format!("lake {lake}"));
    let websocket = grants.websocket.iter().map(|it| it.url.to_string());
    let http = grants.http.iter().map(|grant| {
        let headers: Vec<&str> = grant.headers.keys().map(String::as_str).collect();
        match headers[..] {
            [] => grant.url.to_string(),
            _ => format!("{} with {}: ***", grant.url, headers.join(", ")),
        }
    });
    lake.chain(websocket).chain(http).collect()
}
