//! Which of several workers runs a connector: the one that holds its partition of the topic of
//! assignments, as the only member of the connector's group that can.
//!
//! Whoever runs a connector without holding it is fenced by the log and by the targets, as any
//! zombie is: holding it decides who tries, not who may.

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::status::{Exit, State, Status};
use jackfield_core::{Consequence, Patience};
use jackfield_log::{Cleanup, LogError, Reader, ReaderEvent, ReaderSpec, Start, TopicSpec};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After so long without an assignment another worker has the connector, and people are told: a
/// group of one member settles sooner.
const SAY_AFTER: Duration = Duration::from_secs(3);
/// A membership that lasted so long was healthy: its failure is counted as a first one.
const HEALTHY: Duration = Duration::from_secs(120);

/// A connector at work.
type Serving<'a> = Pin<Box<dyn Future<Output = Exit> + Send + 'a>>;

/// Runs the connector while this worker holds it; without a topic of assignments, at once.
pub(crate) async fn run<F: Future<Output = Exit> + Send>(
    host: Host,
    status: Arc<Status>,
    patience: Patience,
    stop: CancellationToken,
    serve: impl Fn(CancellationToken) -> F + Send + Sync,
) -> Exit {
    let Some(topic) = host.assignments.clone() else {
        return serve(stop).await;
    };
    let mut retries = Retries::new(patience, host.clock);
    let exit = loop {
        let since = Instant::now();
        let held = hold(&host, &topic, &status, &stop, &serve).await;
        if since.elapsed() >= HEALTHY {
            retries.progressed();
        }
        let waited = match held {
            Ok(exit) => break exit,
            Err(failed) if failed.consequence == Consequence::Fail => Err(failed),
            Err(failed) => retries.wait(&failed).map(|wait| (failed, wait)),
        };
        match waited {
            Ok((failed, wait)) => {
                tracing::warn!(connector = %status.connector(), %failed, "joins the workers again");
                status.set_state(State::Restarting {
                    trace: failed.to_string(),
                });
                tokio::select! {
                    () = stop.cancelled() => break Exit::Drained,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            Err(failed) => {
                break Exit::Failed {
                    trace: failed.to_string(),
                };
            }
        }
    };
    status.set_state(match &exit {
        Exit::Drained | Exit::Killed => State::Stopped,
        Exit::Failed { trace } => State::Failed {
            trace: trace.clone(),
        },
    });
    exit
}

/// Joins the connector's group and serves whenever it is assigned, until it is told to stop or
/// the connector ends by itself.
async fn hold<F: Future<Output = Exit> + Send>(
    host: &Host,
    topic: &str,
    status: &Status,
    stop: &CancellationToken,
    serve: &(impl Fn(CancellationToken) -> F + Send + Sync),
) -> Result<Exit, Failed> {
    let mut reader = join(host, topic, status.connector()).await?;
    let held = while_held(&mut *reader, status, stop, serve).await;
    let closed = reader.close().await;
    let exit = held?;
    // It is left in any case; the brokers notice it by themselves otherwise.
    if let Err(error) = closed {
        tracing::warn!(connector = %status.connector(), %error, "left the workers without a word");
    }
    Ok(exit)
}

async fn join(host: &Host, topic: &str, connector: &str) -> Result<Box<dyn Reader>, Failed> {
    let spec = TopicSpec {
        cleanup: Cleanup::Compact,
        ..TopicSpec::new(topic, 1)
    };
    host.log
        .create_topic(&spec)
        .await
        .map_err(|e| Failed::log("create the topic of assignments", e))?;
    let spec = ReaderSpec {
        group: format!("assignment-{connector}"),
        member: format!("assignment-{connector}"),
        topics: vec![topic.to_owned()],
        start: Start::Latest,
    };
    host.log
        .reader(&spec)
        .await
        .map_err(|e| Failed::log("join the workers", e))
}

async fn while_held<F: Future<Output = Exit> + Send>(
    reader: &mut dyn Reader,
    status: &Status,
    stop: &CancellationToken,
    serve: &(impl Fn(CancellationToken) -> F + Send + Sync),
) -> Result<Exit, Failed> {
    let connector = status.connector();
    let mut serving: Option<(CancellationToken, Serving<'_>)> = None;
    let mut said = false;
    loop {
        let event = match &mut serving {
            Some((_, at_work)) => tokio::select! {
                exit = at_work => return Ok(exit),
                event = reader.next() => event,
            },
            None => tokio::select! {
                () = stop.cancelled() => return Ok(Exit::Drained),
                event = reader.next() => event,
                () = tokio::time::sleep(SAY_AFTER), if !said => {
                    said = true;
                    tracing::info!(%connector, "another worker has it: waiting to take it over");
                    continue;
                }
            },
        };
        match event {
            Ok(ReaderEvent::Assigned(_)) => {
                tracing::info!(%connector, "this worker has it");
                let until = stop.child_token();
                let at_work: Serving<'_> = Box::pin(serve(until.clone()));
                serving.get_or_insert((until, at_work));
            }
            Ok(ReaderEvent::Revoking(at)) => {
                if let Some(exit) = end(&mut serving, connector, stop).await {
                    return Ok(exit);
                }
                status.set_state(State::Unassigned);
                let released = reader.release(&at).await;
                released.map_err(|e| Failed::log("release", e))?;
                said = false;
            }
            Ok(ReaderEvent::Lost(_)) => {
                if let Some(exit) = end(&mut serving, connector, stop).await {
                    return Ok(exit);
                }
                status.set_state(State::Unassigned);
                said = false;
            }
            // Nothing is ever read of this topic.
            Ok(ReaderEvent::Batch(_)) => {}
            Err(error) => {
                if let Some(exit) = end(&mut serving, connector, stop).await {
                    return Ok(exit);
                }
                return Err(unheld(error));
            }
        }
    }
}

/// Ends the connector's work here. The exit, if that is the connector's end: it failed, or all is
/// to stop.
async fn end(
    serving: &mut Option<(CancellationToken, Serving<'_>)>,
    connector: &str,
    stop: &CancellationToken,
) -> Option<Exit> {
    let (until, at_work) = serving.take()?;
    tracing::info!(%connector, "another worker is to have it: draining");
    until.cancel();
    let exit = at_work.await;
    match exit {
        Exit::Drained if !stop.is_cancelled() => None,
        // It was about to end anyway, and what it could not finish is the next one's.
        Exit::Failed { trace } if !stop.is_cancelled() => {
            tracing::warn!(%connector, %trace, "did not drain: the next one goes on from what is stored");
            None
        }
        Exit::Drained | Exit::Failed { .. } | Exit::Killed => Some(exit),
    }
}

/// What it means that the group told an error.
fn unheld(error: LogError) -> Failed {
    match error {
        // To join again would fence the other in turn, and so on for ever.
        LogError::Fenced(reason) => Failed::for_good(
            "hold",
            format!("another process runs under this worker's name: {reason}"),
        ),
        error @ (LogError::Retriable(_)
        | LogError::Unknown(_)
        | LogError::Rejected(_)
        | LogError::Fatal(_)) => Failed::log("hold", error),
    }
}
