//! What is true of the embedded log alone: its folder, its disk, and what it deletes.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{PATIENCE, all_values, identity, next, open, spec};
use jackfield_batch::{BatchWriter, Record};
use jackfield_log::{Append, Log, LogError, Output, ReaderEvent, TopicPartition, TopicSpec};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog, hold};
use std::sync::Arc;
use std::time::Duration;

/// A log that deletes what is older than a moment, and looks all the time.
fn forgetful(dir: &std::path::Path, retention: Duration) -> Arc<EmbeddedLog> {
    let mut config = EmbeddedConfig::new(dir);
    config.retention = Some(retention);
    config.retention_every = Duration::from_millis(5);
    EmbeddedLog::open(config).unwrap()
}

/// One append of these values to one partition.
fn values(topic: &str, partition: i32, values: &[&str]) -> Append {
    let mut batch = BatchWriter::new();
    for value in values {
        let record = Record {
            value: Some(value.as_bytes()),
            ..Record::default()
        };
        batch.push(&record).unwrap();
    }
    Append {
        outputs: vec![Output {
            topic: topic.into(),
            partition,
            batch: batch.finish().into(),
        }],
        ..Append::default()
    }
}

/// Appends and waits until it is durable.
async fn append(log: &Arc<EmbeddedLog>, connector: &str, append: Append) {
    let mut writer = log.writer(&identity(connector)).await.unwrap();
    writer.append(append).await.unwrap().await.unwrap();
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn start(log: &Arc<EmbeddedLog>, topic: &str) -> i64 {
    log.ends(topic, 0).await.unwrap().start
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_one_logs_own() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let Err(LogError::Fatal(text)) = EmbeddedLog::open(EmbeddedConfig::new(dir.path())) else {
        panic!("opened twice");
    };
    assert!(
        text.contains("another process") && text.contains(dir.path().to_str().unwrap()),
        "{text}"
    );
    drop(log);
    open(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "jackfield embedded log 9\n").unwrap();
    let Err(LogError::Fatal(text)) = EmbeddedLog::open(EmbeddedConfig::new(dir.path())) else {
        panic!("opened");
    };
    assert!(
        text.contains("log 9") && text.contains("log 1") && text.contains("run the later version"),
        "{text}"
    );
    std::fs::write(dir.path().join("format"), "something else").unwrap();
    let Err(LogError::Fatal(text)) = EmbeddedLog::open(EmbeddedConfig::new(dir.path())) else {
        panic!("opened");
    };
    assert!(text.contains("restore the folder from a backup"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_held_only_while_nobody_has_it_open() {
    let dir = tempfile::tempdir().unwrap();
    assert!(hold(dir.path()).unwrap().is_none(), "there is no log yet");
    let log = open(dir.path());
    let Err(LogError::Fatal(text)) = hold(dir.path()) else {
        panic!("held");
    };
    assert!(text.contains("another process"), "{text}");
    drop(log);
    let held = hold(dir.path()).unwrap().unwrap();
    assert!(EmbeddedLog::open(EmbeddedConfig::new(dir.path())).is_err());
    drop(held);
    open(dir.path());
}

/// Refused appends land nothing, end their writer, and leave what was acknowledged readable.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_appends_and_keeps_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    append(&log, "c", values("t", 0, &["kept"])).await;
    drop(log);

    // No disk has so much room.
    let mut full = EmbeddedConfig::new(dir.path());
    full.reserve_bytes = u64::MAX / 2;
    let log = EmbeddedLog::open(full).unwrap();
    let mut writer = log.writer(&identity("c")).await.unwrap();
    let refused = writer.append(values("t", 0, &["refused"])).await.unwrap();
    let after = writer.append(values("t", 0, &["after it"])).await.unwrap();
    let Err(LogError::Retriable(text)) = refused.await else {
        panic!("not refused");
    };
    assert!(
        text.contains("No space left on device") && text.contains(dir.path().to_str().unwrap()),
        "{text}"
    );
    assert!(
        matches!(after.await, Err(LogError::Fenced(_))),
        "nothing lands after a failure"
    );
    let topic = log.create_topic(&TopicSpec::new("another", 1)).await;
    assert!(matches!(topic, Err(LogError::Retriable(_))));
    assert_eq!(all_values(&log, "t", 0).await, ["kept"]);
    drop(writer);
    drop(log);

    let log = open(dir.path());
    append(&log, "c", values("t", 0, &["there is room again"])).await;
    assert_eq!(
        all_values(&log, "t", 0).await,
        ["kept", "there is room again"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_deleted_by_age_and_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let log = forgetful(dir.path(), Duration::from_millis(1));
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    append(&log, "c", values("t", 0, &["a", "b", "c"])).await;
    until("deleted", async || start(&log, "t").await == 3).await;
    drop(log);
    let log = open(dir.path());
    let ends = log.ends("t", 0).await.unwrap();
    assert_eq!(
        (ends.start, ends.end),
        (3, 3),
        "offsets are not given twice"
    );
    append(&log, "c", values("t", 0, &["d"])).await;
    assert_eq!(all_values(&log, "t", 0).await, ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_kept_below_its_size_and_keeps_its_newest_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new(dir.path());
    config.retention_every = Duration::from_millis(5);
    let log = EmbeddedLog::open(config).unwrap();
    let mut topic = TopicSpec::new("t", 1);
    topic.configs.insert("retention.bytes".into(), "1".into());
    log.create_topic(&topic).await.unwrap();
    append(&log, "c", values("t", 0, &["a", "b"])).await;
    append(&log, "c", values("t", 0, &["c"])).await;
    until("the older batch is deleted", async || {
        start(&log, "t").await == 2
    })
    .await;
    append(&log, "c", values("t", 0, &["d"])).await;
    until("and the next one", async || start(&log, "t").await == 3).await;
    assert_eq!(all_values(&log, "t", 0).await, ["d"]);
}

/// Retention never passes a group that reads the topic, whatever the age.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_attached_group_has_not_committed_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = forgetful(dir.path(), Duration::from_millis(1));
    for topic in ["t", "witness"] {
        log.create_topic(&TopicSpec::new(topic, 1)).await.unwrap();
    }
    let mut reader = log.reader(&spec("sink", "t")).await.unwrap();
    assert!(matches!(next(&mut reader).await, ReaderEvent::Assigned(_)));
    append(&log, "c", values("t", 0, &["a", "b"])).await;
    append(&log, "c", values("t", 0, &["c"])).await;
    // Appended later, in another topic that nobody reads: once it is gone, `t` was looked at too.
    append(&log, "c", values("witness", 0, &["w"])).await;
    until("the witness is deleted", async || {
        start(&log, "witness").await == 1
    })
    .await;
    assert_eq!(start(&log, "t").await, 0);

    let at = TopicPartition::new("t", 0);
    reader.commit(&[(at, 2)]).await.unwrap();
    until("what was committed is deleted", async || {
        start(&log, "t").await == 2
    })
    .await;
    // A sink that has stopped meanwhile is still protected.
    reader.close().await.unwrap();
    append(&log, "c", values("witness", 0, &["w"])).await;
    until("the witness is deleted", async || {
        start(&log, "witness").await == 2
    })
    .await;
    assert_eq!(start(&log, "t").await, 2);
}

/// After a restart a group that has not joined yet has one more retention to do so.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_never_comes_back_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    append(&log, "c", values("t", 0, &["a", "b"])).await;
    let mut reader = log.reader(&spec("sink", "t")).await.unwrap();
    assert!(matches!(next(&mut reader).await, ReaderEvent::Assigned(_)));
    reader
        .commit(&[(TopicPartition::new("t", 0), 0)])
        .await
        .unwrap();
    drop(reader);
    drop(log);
    let log = forgetful(dir.path(), Duration::from_millis(300));
    until("deleted", async || start(&log, "t").await == 2).await;
}

/// Records that are deleted before they were read are not passed over in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_overtaken_loses_the_partition() {
    let dir = tempfile::tempdir().unwrap();
    let log = forgetful(dir.path(), Duration::from_secs(3600));
    let mut topic = TopicSpec::new("t", 1);
    topic.configs.insert("retention.ms".into(), "0".into());
    log.create_topic(&topic).await.unwrap();
    append(&log, "c", values("t", 0, &["a", "b"])).await;
    let mut reader = log.reader(&spec("sink", "t")).await.unwrap();
    assert!(matches!(next(&mut reader).await, ReaderEvent::Assigned(_)));
    let at = TopicPartition::new("t", 0);
    reader.seek(&at, 0).unwrap();
    // It says that it is past them, so they go.
    reader.commit(&[(at.clone(), 2)]).await.unwrap();
    until("deleted", async || start(&log, "t").await == 2).await;
    assert_eq!(next(&mut reader).await, ReaderEvent::Lost(vec![at]));
    let ReaderEvent::Assigned(again) = next(&mut reader).await else {
        panic!("it is offered anew");
    };
    assert_eq!(again[0].ends.start, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_topics_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let log = forgetful(dir.path(), Duration::from_secs(3600));
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    append(&log, "c", values("t", 0, &["old"])).await;
    log.delete_topic("t").await.unwrap();
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    append(&log, "c", values("t", 0, &["new"])).await;
    assert_eq!(all_values(&log, "t", 0).await, ["new"]);
    drop(log);
    let log = open(dir.path());
    assert_eq!(all_values(&log, "t", 0).await, ["new"]);
}

/// A reader far behind reads from the disk what the tail in memory does not hold any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_memory_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.create_topic(&TopicSpec::new("t", 1)).await.unwrap();
    let mut writer = log.writer(&identity("c")).await.unwrap();
    let filler = "x".repeat(100_000);
    for number in 0..120 {
        let value = format!("{number} {filler}");
        writer
            .append(values("t", 0, &[&value]))
            .await
            .unwrap()
            .await
            .unwrap();
    }
    let found = all_values(&log, "t", 0).await;
    let numbers: Vec<usize> = found
        .iter()
        .map(|v| v.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..120).collect::<Vec<_>>());
}
