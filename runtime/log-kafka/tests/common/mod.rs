//! What tests of faults share: numbered appends, and reading everything back.
#![allow(dead_code, reason = "each test binary uses some of it")]

use jackfield_batch::{Batch, BatchWriter, Limits, Record};
use jackfield_log::{
    Append, Identity, InboxMark, Log, LogError, Output, Position, ReaderEvent, ReaderSpec, Start,
    TopicPartition, Writer,
};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Longest wait for one thing, on a machine that is busy with other tests.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(120);

pub(crate) async fn within<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_MAX, coming).await {
        Ok(it) => it,
        Err(_) => panic!("not within {WAIT_MAX:?}: {what}"),
    }
}

pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{}", Uuid::new_v4().simple())
}

pub(crate) fn identity(connector: &str) -> Identity {
    Identity {
        cluster: "faults".into(),
        connector: connector.into(),
        slot: "0".into(),
    }
}

pub(crate) fn output(topic: &str, partition: i32, texts: &[String]) -> Output {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut batch = BatchWriter::new();
    for text in texts {
        let record = Record {
            timestamp_ms: i64::try_from(now.as_millis()).unwrap(),
            value: Some(text.as_bytes()),
            ..Record::default()
        };
        batch.push(&record).unwrap();
    }
    Output {
        topic: topic.into(),
        partition,
        batch: batch.finish().into(),
    }
}

/// An append that says its number in a record of each partition, in a position and in the mark.
pub(crate) fn numbered(topic: &str, partitions: i32, n: u64) -> Append {
    Append {
        outputs: (0..partitions)
            .map(|partition| output(topic, partition, &[n.to_string()]))
            .collect(),
        positions: vec![position(n)],
        mark: Some(InboxMark {
            epoch: Uuid::from_u128(7),
            done_through: n,
        }),
    }
}

pub(crate) fn position(n: u64) -> Position {
    Position {
        partition: r#"{"p":0}"#.into(),
        offset: Some(format!(r#"{{"n":{n}}}"#)),
    }
}

/// The number of the last append that is stored.
pub(crate) async fn last(log: &Arc<dyn Log>, identity: &Identity) -> u64 {
    let stored = again("what is stored", || log.stored(identity)).await;
    let last = stored.mark.map_or(0, |mark| mark.done_through);
    let positions = if last == 0 {
        vec![]
    } else {
        vec![position(last)]
    };
    assert_eq!(
        stored.positions, positions,
        "positions and the mark are one"
    );
    last
}

/// Asks until the answer is not that it should be asked again.
pub(crate) async fn again<T, F: Future<Output = Result<T, LogError>>>(
    what: &str,
    ask: impl Fn() -> F,
) -> T {
    within(what, async {
        loop {
            match ask().await {
                Ok(it) => return it,
                Err(LogError::Retriable(why) | LogError::Unknown(why)) => println!("{what}: {why}"),
                Err(error) => panic!("{what}: {error:?}"),
            }
        }
    })
    .await
}

pub(crate) async fn open(log: &Arc<dyn Log>, identity: &Identity) -> Box<dyn Writer> {
    again("a writer opens", || log.writer(identity)).await
}

pub(crate) async fn append(
    writer: &mut Box<dyn Writer>,
    append: Append,
) -> Result<Vec<i64>, LogError> {
    let pending = within("an append is queued", writer.append(append)).await?;
    let appended = within("an append has its outcome", pending).await?;
    Ok(appended.first_offsets)
}

/// The values of a topic's partitions up to the records appended now, which are left out.
pub(crate) async fn content(log: &Arc<dyn Log>, topic: &str, partitions: i32) -> Vec<Vec<String>> {
    let end = unique("end");
    let mut writer = open(log, &identity(&end)).await;
    let outputs = (0..partitions).map(|p| output(topic, p, std::slice::from_ref(&end)));
    let ends = Append {
        outputs: outputs.collect(),
        ..Append::default()
    };
    append(&mut writer, ends).await.unwrap();
    let spec = spec(&unique("content"), topic);
    let mut reader = again("a member joins", || log.reader(&spec)).await;
    let mut values = vec![Vec::new(); usize::try_from(partitions).unwrap()];
    let unread = |values: &Vec<Vec<String>>| values.iter().any(|it| it.last() != Some(&end));
    while unread(&values) {
        match within("a reader has an event", reader.next())
            .await
            .unwrap()
        {
            ReaderEvent::Assigned(assigned) => {
                for it in assigned {
                    reader.seek(&it.at, it.ends.start).unwrap();
                }
            }
            ReaderEvent::Batch(fetched) => {
                let own = &mut values[usize::try_from(fetched.at.partition).unwrap()];
                own.extend(texts(&fetched.batch));
            }
            other => panic!("nobody else is in the group: {other:?}"),
        }
    }
    // Those of earlier looks too.
    let own = |text: &String| !text.starts_with("end-");
    values.iter_mut().for_each(|it| it.retain(own));
    reader.close().await.unwrap();
    values
}

pub(crate) fn texts(batch: &[u8]) -> Vec<String> {
    let batch = Batch::parse(batch, &Limits::default()).unwrap();
    let text = |record: Record<'_>| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    batch.iter().map(text).collect()
}

pub(crate) fn spec(group: &str, topic: &str) -> ReaderSpec {
    ReaderSpec {
        group: group.into(),
        member: "member".into(),
        topics: vec![topic.into()],
        start: Start::Earliest,
    }
}

pub(crate) fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub(crate) fn numbers(through: u64) -> Vec<String> {
    (1..=through).map(|n| n.to_string()).collect()
}
