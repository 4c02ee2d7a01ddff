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
pub(crate) mod by_hand;
pub(crate) mod committer;
mod coordinator;
mod known_targets;
mod pending;
mod standing;
mod task;
#[cfg(test)]
mod tests;
mod traced;
mod track_records;
mod watch;

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::spec::SinkSpec;
use crate::status::{Exit, State, Status};
use crate::swap::Desk;
use crate::topics;
use jackfield_core::{Next, after};
use jackfield_plugin::Delivery;
use standing::Standing;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use track_records::TrackRecords;

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

/// Serves the connector, one life after another. A life ends with the first failure that is not
/// mended by repeating a call; the next one goes on from what the targets say they hold.
async fn supervise(
    spec: &Arc<SinkSpec>,
    host: &Host,
    status: &Arc<Status>,
    desk: &Desk,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    // Whoever runs the connector has its orders; it is run once at a time.
    let mut orders = desk.orders.lock().await;
    let count = |failed: &Failed| status.failed(failed);
    let standing = Standing::begin_with(spec, host, desk, &mut orders).await;
    let mut standing = standing.inspect_err(count)?;
    let ended = serve_lives(spec, host, status, &mut standing, stop).await;
    standing.end();
    ended
}

async fn serve_lives(
    spec: &Arc<SinkSpec>,
    host: &Host,
    status: &Arc<Status>,
    standing: &mut Standing<'_>,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    let mut retries = Retries::new(spec.patience, host.clock);
    let count = |failed: &Failed| status.failed(failed);
    let mut records = TrackRecords::new(spec.patience, host.clock);
    loop {
        let born = Instant::now();
        let life = coordinator::Life::default();
        let spec = &standing.spec(spec);
        let lived = live(spec, host, status, stop, &life, standing, &mut records).await;
        let failed = match lived {
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
        if life.was_healthy(born.elapsed()) {
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
    records: &mut TrackRecords,
) -> Result<(), Failed> {
    check_delivery(spec).await?;
    for topic in &spec.topics {
        topics::create(host, topic).await?;
    }
    topics::create_dead_letters(host, &spec.on_bad_record).await?;
    coordinator::run(spec, host, status, stop, life, standing, records).await
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
