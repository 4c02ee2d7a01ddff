//! A sink connector: N tasks that put and stage, and one committer.
//!
//! ```text
//! reader ─► task 0 ─┐ stage            ┌─► committer ─► target a
//! reader ─► task 1 ─┴──────► interval ─┴─► committer ─► target b
//! ```
//!
//! Tasks go on putting while the committer commits. What each target holds is kept in one
//! `Books`, which tasks read when partitions are assigned and only the coordinator changes.

pub(crate) mod bad_records;
mod books;
pub(crate) mod committer;
mod coordinator;
mod known_targets;
mod pending;
mod standing;
mod task;
mod traced;
mod watch;

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::spec::{OnBadRecord, ReadTopic, SinkSpec};
use crate::status::{Exit, State, Status};
use crate::swap::Desk;
use jackfield_core::{Next, after};
use jackfield_log::{Cleanup, LogError, TopicSpec};
use jackfield_plugin::Delivery;
use standing::Standing;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Runs a sink connector until `stop`, or until it gives up. On `stop` what was put is
/// committed first.
pub(crate) async fn run(
    spec: Arc<SinkSpec>,
    host: Host,
    status: Arc<Status>,
    desk: Arc<Desk>,
    stop: CancellationToken,
) -> Exit {
    let exit = match supervise(&spec, &host, &status, &desk, &stop).await {
        Ok(()) => Exit::Drained,
        Err(failed) => Exit::Failed {
            trace: failed.to_string(),
        },
    };
    status.set_state(match &exit {
        Exit::Drained | Exit::Killed => State::Stopped,
        Exit::Failed { trace } => State::Failed {
            trace: trace.clone(),
        },
    });
    exit
}

/// A sink that lived so long was healthy: its failure is counted as a first one.
const HEALTHY_LIFE: Duration = Duration::from_secs(120);

/// Serves the connector, one life after another. A life ends with the first failure that is not
/// mended by repeating a call; the next one goes on from what the targets say they hold.
async fn supervise(
    spec: &Arc<SinkSpec>,
    host: &Host,
    status: &Arc<Status>,
    desk: &Desk,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    let mut retries = Retries::new(spec.patience, host.clock);
    // Whoever runs the connector has its orders; it is run once at a time.
    let mut orders = desk.orders.lock().await;
    let count = |failed: &Failed| status.failed(failed);
    let standing = Standing::begin_with(spec, host, desk, &mut orders).await;
    let mut standing = standing.inspect_err(count)?;
    loop {
        let born = Instant::now();
        let life = coordinator::Life::default();
        let spec = &standing.spec(spec);
        let failed = match live(spec, host, status, stop, &life, &mut standing).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        count(&failed);
        if standing.goes_back(&failed) && !stop.is_cancelled() {
            continue;
        }
        if after::sink_task(failed.consequence) == Next::Fail || stop.is_cancelled() {
            return Err(failed);
        }
        if life.committed() || born.elapsed() >= HEALTHY_LIFE {
            retries.progressed();
        }
        let wait = retries.wait(&failed).inspect_err(count)?;
        tracing::warn!(connector = %spec.connector, %failed, wait_ms = wait.as_millis() as u64, "sink restarts from what its targets hold");
        status.metrics().restarts(1);
        status.set_state(State::Restarting {
            trace: failed.to_string(),
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn live(
    spec: &Arc<SinkSpec>,
    host: &Host,
    status: &Arc<Status>,
    stop: &CancellationToken,
    life: &coordinator::Life,
    standing: &mut Standing<'_>,
) -> Result<(), Failed> {
    check_delivery(spec).await?;
    for topic in &spec.topics {
        create_topic(host, topic).await?;
    }
    if let OnBadRecord::DeadLetter { topic } = &spec.on_bad_record {
        let topic = ReadTopic {
            name: topic.clone(),
            partitions: 1,
            configs: BTreeMap::new(),
        };
        create_topic(host, &topic).await?;
    }
    coordinator::run(spec, host, status, stop, life, standing).await
}

/// The sink may be up before any source wrote: a topic that is there already stays as it is.
async fn create_topic(host: &Host, topic: &ReadTopic) -> Result<(), Failed> {
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
        // Others made it in between, and otherwise than this sink would have.
        Err(LogError::Rejected(_)) if exists(host, &topic.name).await? => Ok(()),
        Err(error) => Err(Failed::log("create topic", error)),
    }
}

async fn exists(host: &Host, topic: &str) -> Result<bool, Failed> {
    let described = host.log.describe_topic(topic).await;
    Ok(described
        .map_err(|e| Failed::log("describe topic", e))?
        .is_some())
}

async fn check_delivery(spec: &SinkSpec) -> Result<(), Failed> {
    let description = spec
        .plugged
        .plugin
        .describe(&spec.plugged.limits)
        .await
        .map_err(|e| Failed::call("describe", e))?;
    match (spec.delivery, description.delivery) {
        (Delivery::ExactlyOnce, Delivery::AtLeastOnce) => Err(Failed::for_good(
            "describe",
            format!(
                "{} {} delivers at least once, the pipeline asks for exactly-once",
                description.name, description.version
            ),
        )),
        (Delivery::AtLeastOnce | Delivery::ExactlyOnce, Delivery::ExactlyOnce)
        | (Delivery::AtLeastOnce, Delivery::AtLeastOnce) => Ok(()),
    }
}
