//! Connectors' and tasks' states in a compacted topic, in the form of Kafka Connect's status topic, so that
//! its tools and other workers read them. Nothing else depends on it.

use crate::failing::Failing;
use crate::progress;
use jackfield_log::{Keyed, Log, LogError};
use jackfield_pipeline::{Pipelines, Report, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often states are looked at: people look, and a write costs the brokers little.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the last states may take when the process stops.
const LAST_MAX: Duration = Duration::from_secs(5);

/// Where states go, and whose they are.
pub(crate) struct Published {
    pub(crate) topic: String,
    pub(crate) worker: String,
}

/// Publishes what changes, until `stop`, and the last states then.
pub(crate) async fn keep(
    log: Arc<dyn Log>,
    published: Published,
    pipelines: Pipelines,
    stop: CancellationToken,
) {
    let mut told = BTreeMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = Failing::default();
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tick.tick() => {}
        }
        let looking = look(&log, &published, &pipelines, &mut told);
        let looked = match stop.is_cancelled() {
            false => looking.await,
            true => tokio::time::timeout(LAST_MAX, looking)
                .await
                .unwrap_or_else(|_| Err(LogError::Retriable("no answer in time".to_owned()))),
        };
        // The next look tries again.
        if let Some(error) = failing.first(looked) {
            tracing::warn!(%error, topic = %published.topic, "states are not published for now");
        }
    }
}

async fn look(
    log: &Arc<dyn Log>,
    published: &Published,
    pipelines: &Pipelines,
    told: &mut BTreeMap<String, (State, u32)>,
) -> Result<(), LogError> {
    let statuses = pipelines.statuses();
    let is_there = |name: &String| statuses.iter().any(|it| it.connector() == name);
    let gone: Vec<String> = told.keys().filter(|it| !is_there(it)).cloned().collect();
    for connector in gone {
        let keyed = log.keyed(&published.topic).await?;
        forget(&*keyed, published, &connector).await?;
        told.remove(&connector);
    }
    for status in statuses {
        let report = status.report();
        let now = (report.state.clone(), report.tasks);
        if told.get(&report.connector) == Some(&now) {
            continue;
        }
        let keyed = log.keyed(&published.topic).await?;
        publish(&*keyed, published, &report).await?;
        told.insert(report.connector, now);
    }
    Ok(())
}

async fn publish(
    keyed: &dyn Keyed,
    published: &Published,
    report: &Report,
) -> Result<(), LogError> {
    let key = format!("status-connector-{}", report.connector);
    match &report.state {
        // What this worker does not run any more may be another's by now: that one's word counts.
        State::Unassigned | State::Stopped if !is_ours(keyed, &key, published).await? => {
            return Ok(());
        }
        State::Unassigned
        | State::Running
        | State::Restarting { .. }
        | State::Failed { .. }
        | State::Paused
        | State::Stopped => {}
    }
    let value = json!({
        "state": progress::word(&report.state),
        "trace": report.state.trace(),
        "worker_id": published.worker,
        "generation": 0,
    });
    let value = value.to_string();
    keyed.put(&key, Some(&value)).await?;
    for task in 0..report.tasks {
        let key = task_key(&report.connector, task);
        keyed.put(&key, Some(&value)).await?;
    }
    if report.state == State::Running {
        forget_tasks(keyed, &report.connector, report.tasks).await?;
    }
    Ok(())
}

/// Removes what was told of a connector that is there no more.
async fn forget(keyed: &dyn Keyed, published: &Published, connector: &str) -> Result<(), LogError> {
    let key = format!("status-connector-{connector}");
    if !is_ours(keyed, &key, published).await? {
        return Ok(());
    }
    keyed.put(&key, None).await?;
    forget_tasks(keyed, connector, 0).await
}

/// Removes the tasks that the connector had and has no more: from `first` on.
async fn forget_tasks(keyed: &dyn Keyed, connector: &str, first: u32) -> Result<(), LogError> {
    for task in first.. {
        let key = task_key(connector, task);
        if keyed.get(&key).await?.is_none() {
            break;
        }
        keyed.put(&key, None).await?;
    }
    Ok(())
}

fn task_key(connector: &str, task: u32) -> String {
    format!("status-task-{connector}-{task}")
}

/// Whether this worker wrote it last. What can't be read is another's, and is left alone.
async fn is_ours(keyed: &dyn Keyed, key: &str, published: &Published) -> Result<bool, LogError> {
    let Some(text) = keyed.get(key).await? else {
        return Ok(false);
    };
    let value: Option<Value> = serde_json::from_str(&text).ok();
    Ok(value.is_some_and(|it| it["worker_id"] == published.worker.as_str()))
}
