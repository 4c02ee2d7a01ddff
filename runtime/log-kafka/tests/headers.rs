//! A record's headers are read as they were written, or the record is named: none are left out in
//! silence.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;
mod common;

use cluster::Cluster;
use common::{again, spec, unique, within};
use jackfield_batch::{Batch, Limits, Record};
use jackfield_log::{Log, LogError, ReaderEvent};
use jackfield_log_kafka::KafkaLog;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::sync::Arc;
use std::time::Duration;

/// One more than librdkafka parses. They are empty, so that the record is far below what brokers
/// take.
const TOO_MANY: usize = 100_001;
/// How long a record may take to be acknowledged.
const SEND_MAX: Duration = Duration::from_secs(60);

/// A header's name and value.
type Named = (String, Option<Vec<u8>>);

/// What is written: records with headers among some that have none.
fn records() -> Vec<(&'static str, Vec<Named>)> {
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let some = vec![
        header("a", Some(b"1")),
        header("a", Some(b"2")),
        header("null", None),
        header("empty", Some(b"")),
        header("", Some(&[0, 255])),
    ];
    vec![
        ("none", vec![]),
        ("some", some.clone()),
        ("none again", vec![]),
        ("one", some[..1].to_vec()),
    ]
}

fn native(headers: &[Named]) -> OwnedHeaders {
    headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| {
            let value = value.as_deref();
            all.insert(Header { key, value })
        })
}

fn owned(record: &Record<'_>) -> (String, Vec<Named>) {
    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
    (value, headers.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_read_as_written_or_their_record_is_named() {
    let (cluster, config) = Cluster::start();
    let topic = unique("topic");
    cluster.make(&topic, 1);
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.properties["bootstrap.servers"])
        .create()
        .unwrap();
    let written = records();
    for (value, headers) in &written {
        let mut record = FutureRecord::<(), _>::to(&topic).payload(*value);
        if !headers.is_empty() {
            record = record.headers(native(headers));
        }
        producer.send(record, SEND_MAX).await.unwrap();
    }
    let too_many = vec![(String::new(), None); TOO_MANY];
    let record = FutureRecord::<(), _>::to(&topic)
        .payload("too many")
        .headers(native(&too_many));
    let sent = producer.send(record, SEND_MAX).await.unwrap();

    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    let spec = spec(&unique("group"), &topic);
    let mut reader = again("a member joins", || log.reader(&spec)).await;
    let mut read = Vec::new();
    let error = loop {
        match within("an event", reader.next()).await {
            Ok(ReaderEvent::Assigned(assigned)) => reader.seek(&assigned[0].at, 0).unwrap(),
            Ok(ReaderEvent::Batch(fetched)) => {
                let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                read.extend(batch.iter().map(|record| owned(&record)));
                assert!(read.len() <= written.len(), "{:?}", read.last());
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    let written = written.into_iter();
    let written: Vec<_> = written.map(|(value, it)| (value.to_owned(), it)).collect();
    assert_eq!(read, written);
    assert!(matches!(error, LogError::Rejected(_)), "{error:?}");
    let named = error.to_string();
    assert!(
        named.contains(&format!("offset {} of {topic}-0", sent.offset))
            && named.contains("headers"),
        "{named}"
    );
    reader.close().await.unwrap();
}
