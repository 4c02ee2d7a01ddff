//! A source connector: its slots, each served by an instance of its own.

mod append;
mod feeds;
mod life;
mod slot;

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::spec::SourceSpec;
use crate::status::{Exit, State, Status};
use jackfield_core::{Next, after};
use jackfield_plugin::{
    Connections, Delivery, Inbox, Interrupt, Requests, Slot, SourceHost, SourceInstance, Usage,
};
use slot::{Shared, SlotEnd};
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The inbox of a planning instance: enough for a list of all an exchange's symbols.
const PLAN_INBOX_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Runs a source connector until `stop`, or until it gives up.
pub async fn run(
    spec: Arc<SourceSpec>,
    host: Host,
    status: Arc<Status>,
    stop: CancellationToken,
) -> Exit {
    let exit = match supervise(&spec, &host, &status, &stop).await {
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

async fn supervise(
    spec: &Arc<SourceSpec>,
    host: &Host,
    status: &Arc<Status>,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    check_delivery(spec).await?;
    loop {
        let slots = plan_patiently(spec, host, status, stop).await?;
        if stop.is_cancelled() {
            return Ok(());
        }
        match serve(spec, host, status, stop, slots).await? {
            Served::Replan => continue,
            Served::Done => return Ok(()),
        }
    }
}

async fn check_delivery(spec: &SourceSpec) -> Result<(), Failed> {
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

async fn plan_patiently(
    spec: &SourceSpec,
    host: &Host,
    status: &Status,
    stop: &CancellationToken,
) -> Result<Vec<Slot>, Failed> {
    let mut retries = Retries::new(spec.patience, host.clock);
    loop {
        let failed = match plan(spec).await {
            Ok(slots) => return Ok(slots),
            Err(failed) if after::source(failed.consequence) == Next::Fail => return Err(failed),
            Err(failed) => failed,
        };
        let wait = retries.wait(&failed)?;
        tracing::warn!(connector = %spec.connector, %failed, "planning is tried again");
        status.metrics().error(failed.consequence);
        status.set_state(State::Restarting {
            trace: failed.to_string(),
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(Vec::new()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Plans on an instance of its own, with an inbox that is dropped afterwards.
async fn plan(spec: &SourceSpec) -> Result<Vec<Slot>, Failed> {
    let inbox = Inbox::new(PLAN_INBOX_BYTES_MAX);
    let usage = Arc::new(Usage::default());
    let connections = Connections::new(inbox.clone(), spec.websocket.clone(), usage.clone());
    let requests = Requests::new(inbox.clone(), spec.http.clone(), usage.clone());
    let host = SourceHost {
        connector: spec.connector.clone(),
        inbox: inbox.clone(),
        connections: connections.clone(),
        requests: requests.clone(),
        interrupt: Interrupt::default(),
        usage,
    };
    let planned = async {
        let mut instance = SourceInstance::new(&spec.plugged.plugin, host, &spec.plugged.limits)
            .await
            .map_err(|e| Failed::call("instantiate", e))?;
        instance
            .plan(spec.plugged.settings.clone(), spec.slots_max)
            .await
            .map_err(|e| Failed::call("plan", e))
    }
    .await;
    connections.close_all().await;
    requests.close();
    inbox.close();
    let slots = planned?;
    if slots.is_empty() {
        return Err(Failed::for_good(
            "plan",
            "the source planned no slot: there is nothing to do",
        ));
    }
    Ok(slots)
}

enum Served {
    Replan,
    Done,
}

/// Runs all slots; the first that gives up, or asks for a new plan, ends the others too.
async fn serve(
    spec: &Arc<SourceSpec>,
    host: &Host,
    status: &Arc<Status>,
    stop: &CancellationToken,
    slots: Vec<Slot>,
) -> Result<Served, Failed> {
    let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
    let stop_slots = stop.child_token();
    let mut tasks = JoinSet::new();
    for (number, slot) in (0u32..).zip(slots) {
        let span = tracing::info_span!("slot", connector = %spec.connector, slot = %slot.id);
        let shared = Shared::new(
            spec,
            host,
            slot,
            (number, count),
            status,
            stop_slots.clone(),
        );
        tasks.spawn(slot::run(shared).instrument(span));
    }
    let mut served = Ok(Served::Done);
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok(SlotEnd::Drained | SlotEnd::Ended) => {}
            Ok(SlotEnd::Replan) => {
                stop_slots.cancel();
                if served.is_ok() {
                    served = Ok(Served::Replan);
                }
            }
            Ok(SlotEnd::Failed(failed)) => {
                stop_slots.cancel();
                if served.is_ok() {
                    served = Err(failed);
                }
            }
            Err(panic) => {
                stop_slots.cancel();
                served = Err(Failed::for_good(
                    "slot",
                    format!("a slot's task panicked: {panic}"),
                ));
            }
        }
    }
    served
}
