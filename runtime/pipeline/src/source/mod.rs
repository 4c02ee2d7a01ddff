//! A source connector: its slots, each served by an instance of its own.

mod append;
mod durable;
mod feeds;
mod fleet;
mod gathered;
mod life;
mod slot;
mod turn;
mod way;

use crate::failures::Failed;
use crate::host::Host;
use crate::meter::{self, Meter};
use crate::retries::Retries;
use crate::spec::SourceSpec;
use crate::status::{Exit, State, Status};
use crate::swap::{Desk, Pace, Version};
use fleet::{Served, Standing};
use jackfield_core::{Consequence, Next, after};
use jackfield_plugin::{
    Connections, Delivery, Inbox, Interrupt, Requests, Slot, SourceHost, SourceInstance,
};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The inbox of a planning instance: enough for a list of all an exchange's symbols.
const PLAN_INBOX_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Runs a source connector until `stop`, or until it gives up.
pub(crate) async fn run(
    spec: Arc<SourceSpec>,
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

async fn supervise(
    spec: &Arc<SourceSpec>,
    host: &Host,
    status: &Arc<Status>,
    desk: &Desk,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    // Whoever runs the connector has its orders; it is run once at a time. Nobody changes what it
    // begins with from here on.
    let mut orders = desk.orders.lock().await;
    let version = fleet::first(spec, desk)
        .await
        .inspect_err(|failed| status.failed(failed))?;
    let mut standing = Standing {
        desk,
        orders: &mut orders,
        version,
        trial: None,
        pace: Pace::default(),
    };
    let ended = serve_plans(spec, host, status, &mut standing, stop).await;
    standing.end();
    ended
}

/// Serves one plan after another.
async fn serve_plans(
    spec: &Arc<SourceSpec>,
    host: &Host,
    status: &Arc<Status>,
    standing: &mut Standing<'_>,
    stop: &CancellationToken,
) -> Result<(), Failed> {
    loop {
        let (version, until) = (&standing.version, standing.until());
        let slots = match plan_patiently(spec, version, until, host, status, stop).await {
            Ok(Some(slots)) => slots,
            Ok(None) => return Ok(()),
            Err(failed) if failed.component && standing.take_back(&failed.to_string()) => continue,
            Err(failed) => return Err(failed),
        };
        match fleet::serve(spec, host, status, stop, standing, &slots).await? {
            Served::Replan => continue,
            Served::Done => return Ok(()),
        }
    }
}

/// Whether a version delivers what the pipeline asks for.
fn stand(spec: &SourceSpec, version: &Version) -> Result<(), Failed> {
    let description = &version.description;
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

/// Plans until it succeeds, or patience ends; `None`: `stop` came first. A version on probation that
/// is to blame, or that has no plan `until` its end, is not asked again: the one before does better.
async fn plan_patiently(
    spec: &SourceSpec,
    version: &Version,
    until: Option<Duration>,
    host: &Host,
    status: &Status,
    stop: &CancellationToken,
) -> Result<Option<Vec<Slot>>, Failed> {
    let mut retries = Retries::new(spec.patience, host.clock);
    loop {
        let failed = match plan(spec, version, status, stop).await {
            Ok(planned) => return Ok(planned),
            Err(failed) => failed,
        };
        status.failed(&failed);
        let blamed = until.is_some() && failed.component;
        if after::source(failed.consequence) == Next::Fail || blamed {
            return Err(failed);
        }
        let wait = retries.wait(&failed)?;
        if until.is_some_and(|until| host.clock.now() + wait >= until) {
            let why = format!("{} (and has no plan within its probation)", failed.reason);
            return Err(Failed::new(failed.what, Consequence::Replace, why));
        }
        tracing::warn!(connector = %spec.connector, %failed, "planning is tried again");
        status.metrics().retries(1);
        status.set_state(State::Restarting {
            trace: failed.to_string(),
        });
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Plans on an instance of its own, with an inbox that is dropped afterwards; `None`: `stop` came
/// first. A plan may take minutes, for which whoever stops the source does not wait.
async fn plan(
    spec: &SourceSpec,
    version: &Version,
    status: &Status,
    stop: &CancellationToken,
) -> Result<Option<Vec<Slot>>, Failed> {
    let inbox = Inbox::new(PLAN_INBOX_BYTES_MAX);
    let usage = meter::usage(status.metrics());
    // Counts what was used when the planning ends.
    let _meter = Meter::new(&usage, status);
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
    let planning = async {
        let plugged = &version.plugged;
        let mut instance = SourceInstance::new(&plugged.plugin, host, &plugged.limits)
            .await
            .map_err(|e| Failed::call("instantiate", e))?;
        instance
            .plan(plugged.settings.clone(), spec.slots_max)
            .await
            .map_err(|e| Failed::call("plan", e))
    };
    let planned = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        planned = planning => Some(planned),
    };
    connections.close_all().await;
    requests.close();
    inbox.close();
    let Some(slots) = planned.transpose()? else {
        return Ok(None);
    };
    if slots.is_empty() {
        return Err(Failed::for_good(
            "plan",
            "the source planned no slot: there is nothing to do",
        ));
    }
    Ok(Some(slots))
}
