//! Connectors' states in a compacted topic, in the form of Kafka Connect's status topic, so that
//! its tools and other workers read them. Nothing else depends on it.

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
    let mut failing = false;
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
        // The next look tries again; said once, until it works again.
        match looked {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, topic = %published.topic, "states are not published for now");
            }
            Err(_) => {}
        }
    }
}

async fn look(
    log: &Arc<dyn Log>,
    published: &Published,
    pipelines: &Pipelines,
    told: &mut BTreeMap<String, State>,
) -> Result<(), LogError> {
    for status in pipelines.statuses() {
        let report = status.report();
        if told.get(&report.connector) == Some(&report.state) {
            continue;
        }
        let keyed = log.keyed(&published.topic).await?;
        publish(&*keyed, published, &report).await?;
        told.insert(report.connector, report.state);
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
    keyed.put(&key, Some(&value.to_string())).await
}

async fn is_ours(keyed: &dyn Keyed, key: &str, published: &Published) -> Result<bool, LogError> {
    let Some(text) = keyed.get(key).await? else {
        return Ok(false);
    };
    let value: Option<Value> = serde_json::from_str(&text).ok();
    Ok(value.is_some_and(|it| it["worker_id"] == published.worker.as_str()))
}
