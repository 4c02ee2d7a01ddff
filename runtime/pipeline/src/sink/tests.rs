//! When a sink is idle, on a log whose group answers late or has nothing for it. The task here does
//! what a task does with a reader, without a component.

use super::books::Books;
use super::watch;
use crate::clock::Clock;
use crate::host::Host;
use crate::lever::Target;
use crate::pipelines::Pipelines;
use crate::status::{Exit, State, Status};
use jackfield_batch::{BatchWriter, Record};
use jackfield_core::Patience;
use jackfield_log::{
    Append, Identity, Log, Output, Reader, ReaderEvent, ReaderSpec, Start, TopicSpec,
};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use jackfield_schema::{EmbeddedRegistry, SubjectNaming};
use jackfield_telemetry::{Kind, Telemetry};
use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{advance, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes, on a clock that stands still while something is done.
const STUCK_AFTER: Duration = Duration::from_secs(600);

const QUIET: Duration = Duration::from_secs(2);
/// Between a record's put and its commit: longer than one look at the lag.
const COMMITS_AFTER: Duration = Duration::from_secs(1);

const TOPIC: &str = "trades";
const RECORDS: u64 = 10;

/// A log that holds ten records, and what goes with it.
async fn host(dir: &Path) -> Host {
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap();
    log.create_topic(&TopicSpec::new(TOPIC, 1)).await.unwrap();
    let mut batch = BatchWriter::new();
    for _ in 0..RECORDS {
        let record = Record {
            value: Some(b"a trade"),
            ..Record::default()
        };
        batch.push(&record).unwrap();
    }
    let identity = Identity {
        cluster: "test".into(),
        connector: "source".into(),
        slot: "0".into(),
    };
    let append = Append {
        outputs: vec![Output {
            topic: TOPIC.into(),
            partition: 0,
            batch: batch.finish().into(),
        }],
        ..Append::default()
    };
    let mut writer = log.writer(&identity).await.unwrap();
    writer.append(append).await.unwrap().await.unwrap();
    writer.close().await.unwrap();
    let registry = EmbeddedRegistry::open(Arc::clone(&log)).await.unwrap();
    Host {
        cluster: "test".into(),
        log,
        assignments: None,
        subjects: SubjectNaming::Topic,
        registry: Arc::new(registry),
        telemetry: Telemetry::new().unwrap(),
        clock: Clock::start(),
    }
}

async fn joined(host: &Host, member: &str) -> Box<dyn Reader> {
    let spec = ReaderSpec {
        group: "lake".into(),
        member: member.into(),
        topics: vec![TOPIC.into()],
        start: Start::Earliest,
    };
    host.log.reader(&spec).await.unwrap()
}

/// A sink whose only task joins its group so late.
fn sink(host: &Host, joins_after: Duration) -> Pipelines {
    let pipelines = Pipelines::new(host.clone());
    let (of, patience) = (host.clone(), Patience { deadline: QUIET });
    let added = pipelines.add("market", "lake", Kind::Sink, patience, Target::Running, {
        move |status, _, stop| life(of.clone(), status, stop, joins_after)
    });
    added.unwrap();
    pipelines
}

async fn life(
    host: Host,
    status: Arc<Status>,
    stop: CancellationToken,
    joins_after: Duration,
) -> Exit {
    let books = Books::new(Vec::new());
    let mut meters = Vec::new();
    status.shares().begin(1, 1, host.clock.now());
    status.set_state(State::Running);
    status.active(host.clock.now());
    tokio::select! {
        () = stop.cancelled() => {}
        never = watch::run(&host, &status, &books, &mut meters) => match never {},
        never = task(&host, &status, &books, joins_after) => match never {},
    }
    status.set_state(State::Stopped);
    Exit::Drained
}

async fn task(host: &Host, status: &Status, books: &Books, joins_after: Duration) -> Infallible {
    sleep(joins_after).await;
    let mut reader = joined(host, "task").await;
    loop {
        match reader.next().await.unwrap() {
            ReaderEvent::Assigned(assigned) => {
                for it in &assigned {
                    let begin = books.own(it, Start::Earliest).unwrap();
                    reader.seek(&it.at, begin.offset).unwrap();
                }
                status.shares().answered(host.clock.now());
                status.active(host.clock.now());
            }
            ReaderEvent::Batch(fetched) => {
                let records = u64::try_from(fetched.next_offset - fetched.position).unwrap();
                status.set_open(records);
                status.took(records, host.clock.now());
                books.read(&fetched.at, fetched.next_offset);
                sleep(COMMITS_AFTER).await;
                status.committed(records, host.clock.now());
                status.set_open(0);
            }
            other => panic!("nobody takes anything away: {other:?}"),
        }
    }
}

async fn committed_when_idle(pipelines: &Pipelines) -> u64 {
    timeout(STUCK_AFTER, pipelines.until_idle(QUIET))
        .await
        .unwrap();
    let report = pipelines.status("lake").unwrap().report();
    assert_eq!(report.state, State::Running);
    report.committed
}

#[tokio::test]
async fn a_group_that_answers_late_is_no_empty_feed() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    tokio::time::pause();
    let pipelines = sink(&host, QUIET * 3);
    assert_eq!(committed_when_idle(&pipelines).await, RECORDS);
    assert!(pipelines.shut_down(STUCK_AFTER).await.clean());
}

#[tokio::test]
async fn a_sink_for_which_others_leave_nothing_becomes_idle() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    let mut other = joined(&host, "other").await;
    let event = other.next().await.unwrap();
    assert!(matches!(event, ReaderEvent::Assigned(all) if all.len() == 1));
    tokio::time::pause();
    let pipelines = sink(&host, Duration::ZERO);
    assert_eq!(committed_when_idle(&pipelines).await, 0);
    assert!(pipelines.shut_down(STUCK_AFTER).await.clean());
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_process_that_stood_still_has_not_been_idle() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    tokio::time::pause();
    let pipelines = sink(&host, Duration::ZERO);
    assert_eq!(committed_when_idle(&pipelines).await, RECORDS);
    let mut waiting = pin!(pipelines.until_idle(QUIET));
    tokio::select! {
        biased;
        () = &mut waiting => panic!("nobody has looked for as long as that"),
        () = advance(QUIET * 2) => {}
    }
    timeout(STUCK_AFTER, waiting).await.unwrap();
    assert!(pipelines.shut_down(STUCK_AFTER).await.clean());
}

#[tokio::test]
async fn no_quiet_at_all_is_waited_for_until_all_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    tokio::time::pause();
    let pipelines = sink(&host, Duration::ZERO);
    let idle = timeout(STUCK_AFTER, pipelines.until_idle(Duration::ZERO));
    idle.await.unwrap();
    let report = pipelines.status("lake").unwrap().report();
    assert_eq!(report.committed, RECORDS);
    assert!(pipelines.shut_down(STUCK_AFTER).await.clean());
}
