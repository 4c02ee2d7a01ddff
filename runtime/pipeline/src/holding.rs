//! Which of several workers runs a connector: the one that holds its partition of the topic of
//! assignments, as the only member of the connector's group that can.
//!
//! Whoever runs a connector without holding it is fenced by the log and by the targets, as any
//! zombie is: holding it decides who tries, not who may.

use crate::failures::Failed;
use crate::host::Host;
use crate::retries::Retries;
use crate::status::{Exit, State, Status};
use crate::swap::Desk;
use jackfield_core::{Consequence, Patience};
use jackfield_log::{Cleanup, Log, LogError, Reader, ReaderEvent, ReaderSpec, Start, TopicSpec};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After so long without an assignment another worker has the connector, and people are told, as
/// is whoever wants to change it here. A group of one member settles sooner, though brokers wait 3 s
/// for others before they settle a new group (`group.initial.rebalance.delay.ms`).
const SAY_AFTER: Duration = Duration::from_secs(8);
/// A membership that lasted so long was healthy: its failure is counted as a first one.
const HEALTHY: Duration = Duration::from_secs(120);
/// The same of one that another member ended: of two under one name each has it for as long as the
/// other drains, of which a single call may take two minutes, and waits for its next try.
const UNDISPUTED: Duration = Duration::from_secs(300);

/// A connector at work.
type Serving<'a> = Pin<Box<dyn Future<Output = Exit> + Send + 'a>>;
/// A member about to join the connector's group.
type Joining<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Reader>, Failed>> + Send + 'a>>;

/// Runs the connector while this worker holds it; without a topic of assignments, at once.
pub(crate) async fn run<F: Future<Output = Exit> + Send>(
    host: Host,
    status: Arc<Status>,
    desk: &Desk,
    patience: Patience,
    stop: CancellationToken,
    serve: impl Fn(CancellationToken) -> F + Send + Sync,
) -> Exit {
    let Some(topic) = host.assignments else {
        return serve(stop).await;
    };
    let retries = Retries::new(patience, host.clock);
    let connector = status.connector();
    let join = || -> Joining<'_> { Box::pin(join(&*host.log, &topic, connector)) };
    hold_on(&status, desk, retries, &stop, join, serve).await
}

/// Joins again after failures, until the connector ends or nothing helps.
async fn hold_on<'a, F: Future<Output = Exit> + Send>(
    status: &Status,
    desk: &Desk,
    mut retries: Retries,
    stop: &CancellationToken,
    join: impl Fn() -> Joining<'a> + Send + Sync,
    serve: impl Fn(CancellationToken) -> F + Send + Sync,
) -> Exit {
    let exit = loop {
        let since = Instant::now();
        let held = match join().await {
            Ok(reader) => hold(reader, status, desk, stop, &serve).await,
            Err(failed) => Err(failed),
        };
        let healthy = match &held {
            Err(failed) if failed.consequence == Consequence::Fenced => UNDISPUTED,
            Ok(_) | Err(_) => HEALTHY,
        };
        if since.elapsed() >= healthy {
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

/// As a member of the connector's group, serves whenever it is assigned, until it is told to stop or
/// the connector ends by itself.
async fn hold<F: Future<Output = Exit> + Send>(
    mut reader: Box<dyn Reader>,
    status: &Status,
    desk: &Desk,
    stop: &CancellationToken,
    serve: &(impl Fn(CancellationToken) -> F + Send + Sync),
) -> Result<Exit, Failed> {
    let held = while_held(&mut *reader, status, desk, stop, serve).await;
    // Nothing is told any more of who has it.
    status.set_elsewhere(false);
    let closed = reader.close().await;
    let exit = held?;
    // It is left in any case; the brokers notice it by themselves otherwise.
    if let Err(error) = closed {
        tracing::warn!(connector = %status.connector(), %error, "left the workers without a word");
    }
    Ok(exit)
}

async fn join(log: &dyn Log, topic: &str, connector: &str) -> Result<Box<dyn Reader>, Failed> {
    let spec = TopicSpec {
        cleanup: Cleanup::Compact,
        ..TopicSpec::new(topic, 1)
    };
    log.create_topic(&spec)
        .await
        .map_err(|e| Failed::log("create the topic of assignments", e))?;
    let spec = ReaderSpec {
        group: format!("assignment-{connector}"),
        member: format!("assignment-{connector}"),
        topics: vec![topic.to_owned()],
        start: Start::Latest,
    };
    log.reader(&spec)
        .await
        .map_err(|e| Failed::log("join the workers", e))
}

async fn while_held<F: Future<Output = Exit> + Send>(
    reader: &mut dyn Reader,
    status: &Status,
    desk: &Desk,
    stop: &CancellationToken,
    serve: &(impl Fn(CancellationToken) -> F + Send + Sync),
) -> Result<Exit, Failed> {
    let connector = status.connector();
    let mut serving: Option<(CancellationToken, Serving<'_>)> = None;
    // A group that has not answered may have nobody: its brokers are down, or wait for a member that is
    // gone. So it is elsewhere only once the group has said so.
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
                never = desk.turn_away(), if said => match never {},
                () = tokio::time::sleep(SAY_AFTER), if !said => {
                    said = true;
                    tracing::info!(%connector, "another worker has it: waiting to take it over");
                    continue;
                }
            },
        };
        match event {
            Ok(ReaderEvent::Assigned(at)) if at.is_empty() => {
                // Also after a failure, which is over.
                status.set_state(State::Unassigned);
                status.set_elsewhere(true);
            }
            Ok(ReaderEvent::Assigned(_)) => {
                status.set_elsewhere(false);
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
                // Whoever wanted it has it now.
                status.set_elsewhere(true);
                said = false;
            }
            Ok(ReaderEvent::Lost(_)) => {
                if let Some(exit) = end(&mut serving, connector, stop).await {
                    return Ok(exit);
                }
                status.set_state(State::Unassigned);
                // Nobody knows who has it until the group answers anew.
                status.set_elsewhere(false);
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
        // Two processes under one name would fence each other for ever: neither holds long enough
        // to be healthy, so that the first whose patience ends leaves it to the other.
        LogError::Fenced(reason) => Failed::new(
            "hold",
            Consequence::Fenced,
            format!(
                "another process runs under this worker's name, or the group's coordinator went \
                 down before it had saved who holds it: {reason}"
            ),
        ),
        error @ (LogError::Retriable(_)
        | LogError::Unknown(_)
        | LogError::Rejected(_)
        | LogError::Fatal(_)) => Failed::log("hold", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::shadow::WatchOrder;
    use crate::swap::{Claim, Order, Refused};
    use async_trait::async_trait;
    use jackfield_log::{Assignment, Ends, TopicPartition};
    use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
    use jackfield_telemetry::{ConnectorLabels, Kind, Telemetry};
    use std::collections::VecDeque;
    use std::path::Path;
    use tokio::sync::{mpsc, oneshot};
    use tokio::time::{sleep, timeout};
    use uuid::Uuid;

    /// A member that is told these events, and nothing after them.
    struct Scripted(VecDeque<ReaderEvent>);

    #[async_trait]
    impl Reader for Scripted {
        async fn next(&mut self) -> Result<ReaderEvent, LogError> {
            match self.0.pop_front() {
                Some(event) => Ok(event),
                None => std::future::pending().await,
            }
        }

        fn seek(&mut self, _at: &TopicPartition, _offset: i64) -> Result<(), LogError> {
            Ok(())
        }

        fn pause(&mut self, _at: &[TopicPartition]) {}

        fn resume(&mut self, _at: &[TopicPartition]) {}

        async fn commit(&mut self, _offsets: &[(TopicPartition, i64)]) -> Result<(), LogError> {
            Ok(())
        }

        async fn release(&mut self, _at: &[TopicPartition]) -> Result<(), LogError> {
            Ok(())
        }

        async fn close(self: Box<Self>) -> Result<(), LogError> {
            Ok(())
        }
    }

    /// Far longer than anything here takes.
    const STUCK_AFTER: Duration = Duration::from_secs(120);

    const CONNECTOR: &str = "trades";

    async fn log(dir: &Path) -> Arc<EmbeddedLog> {
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap();
        let spec = TopicSpec::new("assignments", 1);
        log.create_topic(&spec).await.unwrap();
        log
    }

    async fn joined(log: &EmbeddedLog) -> Result<Box<dyn Reader>, Failed> {
        joined_as(log, "member").await
    }

    async fn joined_as(log: &EmbeddedLog, member: &str) -> Result<Box<dyn Reader>, Failed> {
        let spec = ReaderSpec {
            group: "group".into(),
            member: member.into(),
            topics: vec!["assignments".into()],
            start: Start::Latest,
        };
        let reader = log.reader(&spec).await;
        reader.map_err(|e| Failed::log("join the workers", e))
    }

    fn status() -> Arc<Status> {
        let labels = ConnectorLabels {
            pipeline: "market".into(),
            connector: CONNECTOR.into(),
            kind: Kind::Source,
        };
        let metrics = Telemetry::new().unwrap().connector(&labels);
        Status::new("market", CONNECTOR, true, metrics)
    }

    /// A worker that runs the connector whenever it holds it, and what is told of each begin.
    fn worker(
        log: &Arc<EmbeddedLog>,
        patience: Duration,
        stop: &CancellationToken,
    ) -> (tokio::task::JoinHandle<Exit>, mpsc::Receiver<()>) {
        let status = status();
        worker_at(Desk::new(&status), status, log, patience, stop)
    }

    fn worker_at(
        desk: Arc<Desk>,
        status: Arc<Status>,
        log: &Arc<EmbeddedLog>,
        patience: Duration,
        stop: &CancellationToken,
    ) -> (tokio::task::JoinHandle<Exit>, mpsc::Receiver<()>) {
        let (began, begins) = mpsc::channel(64);
        let (log, stop) = (Arc::clone(log), stop.clone());
        let retries = Retries::new(Patience { deadline: patience }, Clock::start());
        let running = tokio::spawn(async move {
            let serve = move |until: CancellationToken| {
                let began = began.clone();
                async move {
                    // Nobody may look any more.
                    began.try_send(()).ok();
                    until.cancelled().await;
                    Exit::Drained
                }
            };
            let join = || -> Joining<'_> { Box::pin(joined(&log)) };
            hold_on(&status, &desk, retries, &stop, join, serve).await
        });
        (running, begins)
    }

    /// A coordinator that goes down before it has saved who came last takes the one before for
    /// the holder when it is back, and fences the last.
    #[tokio::test]
    async fn who_is_fenced_joins_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path()).await;
        let stop = CancellationToken::new();
        let (running, mut begins) = worker(&log, Duration::from_secs(300), &stop);
        let begun = timeout(STUCK_AFTER, begins.recv()).await;
        begun.unwrap().unwrap();
        let other = joined(&log).await.unwrap();
        let begun = timeout(STUCK_AFTER, begins.recv()).await;
        begun.unwrap().unwrap();
        drop(other);
        stop.cancel();
        let ended = timeout(STUCK_AFTER, running).await;
        assert_eq!(ended.unwrap().unwrap(), Exit::Drained);
    }

    /// Whoever takes over has the orders that come then, and none that came before.
    #[tokio::test]
    async fn a_worker_that_waits_turns_orders_away_until_it_takes_over() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path()).await;
        let holder = joined_as(&log, "holder").await.unwrap();
        let (stop, status) = (CancellationToken::new(), status());
        let desk = Desk::new(&status);
        let patience = Duration::from_secs(300);
        let (running, mut begins) = worker_at(Arc::clone(&desk), status, &log, patience, &stop);
        let order = || {
            let (reply, answer) = oneshot::channel();
            let outputs = false;
            (Order::Watch(WatchOrder { outputs, reply }), answer)
        };
        // More than may wait.
        for _ in 0..5 {
            let (order, answer) = order();
            let answered = desk.order(order, &Claim::default(), answer).await;
            assert!(matches!(answered, Err(Refused::NotRunning(_))));
        }
        holder.close().await.unwrap();
        let begun = timeout(STUCK_AFTER, begins.recv()).await;
        begun.unwrap().unwrap();
        let mut orders = desk.orders.try_lock().unwrap();
        assert!(orders.try_recv().is_err());
        let (order, answer) = order();
        let claim = Claim::default();
        let obeyed = async {
            let Some(Order::Watch(order)) = orders.recv().await else {
                panic!("another order was given");
            };
            assert!(order.reply.send(Err(Refused::Same)).is_ok());
        };
        let (answered, ()) = tokio::join!(desk.order(order, &claim, answer), obeyed);
        assert!(matches!(answered, Err(Refused::Same)));
        stop.cancel();
        let ended = timeout(STUCK_AFTER, running).await;
        assert_eq!(ended.unwrap().unwrap(), Exit::Drained);
    }

    /// Whoever waits for another worker is as it should be; whoever begins is not yet.
    #[tokio::test]
    async fn a_worker_that_waits_is_ready_until_it_takes_over() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path()).await;
        let holder = joined_as(&log, "holder").await.unwrap();
        let (stop, status) = (CancellationToken::new(), status());
        assert!(!status.report().ready(), "nobody knows who has it");
        let (desk, patience) = (Desk::new(&status), Duration::from_secs(300));
        let (running, mut begins) = worker_at(desk, Arc::clone(&status), &log, patience, &stop);
        let waits = async {
            while !status.report().ready() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(STUCK_AFTER, waits).await.unwrap();
        let report = status.report();
        assert_eq!((report.state, report.elsewhere), (State::Unassigned, true));
        holder.close().await.unwrap();
        let begun = timeout(STUCK_AFTER, begins.recv()).await;
        begun.unwrap().unwrap();
        // What serves it has not said anything, which is what beginning looks like.
        assert!(!status.report().ready());
        stop.cancel();
        let ended = timeout(STUCK_AFTER, running).await;
        assert_eq!(ended.unwrap().unwrap(), Exit::Drained);
    }

    /// Its brokers are gone: that it has lost the connector does not say that another has it.
    #[tokio::test(start_paused = true)]
    async fn a_worker_that_lost_it_is_not_ready_until_the_group_answers_anew() {
        let at = TopicPartition::new("assignments", 0);
        let assignment = Assignment {
            at: at.clone(),
            topic_id: Uuid::nil(),
            committed: None,
            ends: Ends::default(),
        };
        // It had the connector, or waited for it.
        for assigned in [vec![assignment], Vec::new()] {
            let script = [
                ReaderEvent::Assigned(assigned),
                ReaderEvent::Lost(vec![at.clone()]),
            ];
            let reader = Box::new(Scripted(script.into()));
            let (stop, status) = (CancellationToken::new(), status());
            let desk = Desk::new(&status);
            let serve = |until: CancellationToken| async move {
                until.cancelled().await;
                Exit::Drained
            };
            let holding = hold(reader, &status, &desk, &stop, &serve);
            let looking = async {
                for _ in 0..5 {
                    sleep(SAY_AFTER / 2).await;
                    let report = status.report();
                    assert_eq!(report.state, State::Unassigned);
                    assert!(!report.ready(), "nobody knows who has it");
                }
                stop.cancel();
            };
            let (held, ()) = tokio::join!(holding, looking);
            assert_eq!(held.unwrap(), Exit::Drained);
        }
    }

    #[tokio::test]
    async fn of_two_under_one_name_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path()).await;
        let stop = CancellationToken::new();
        let patience = Duration::from_secs(2);
        let (one, _begins) = worker(&log, patience, &stop);
        let (other, _other_begins) = worker(&log, patience, &stop);
        let one_ends = timeout(STUCK_AFTER, futures::future::select(one, other)).await;
        let (ended, stays) = match one_ends.unwrap() {
            futures::future::Either::Left((exit, stays)) => (exit.unwrap(), stays),
            futures::future::Either::Right((exit, stays)) => (exit.unwrap(), stays),
        };
        let Exit::Failed { trace } = ended else {
            panic!("it stopped by itself: {ended:?}");
        };
        assert!(trace.contains("under this worker's name"), "{trace}");
        assert!(!stays.is_finished());
        stop.cancel();
        assert_eq!(stays.await.unwrap(), Exit::Drained);
    }
}
