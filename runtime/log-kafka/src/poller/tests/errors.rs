//! Errors in place of records.

use super::{WAIT_MAX, first, joined, next, passes, write};
use jackfield_batch::{Batch, Limits};
use jackfield_log::{LogError, Reader, ReaderEvent};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use std::sync::atomic::Ordering;

/// More than are asked for while the test runs: librdkafka rests after each.
const ERRORS: usize = 10_000;

/// librdkafka takes an error for the record at its place, and goes on behind it when the group
/// changes, be it that nothing is given or taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_group_passes_no_record_that_came_as_an_error() {
    let (cluster, mut reader, producer) = joined(1).await;
    write(&producer, "0").await;
    let event = next(&mut reader).await;
    assert!(matches!(event, ReaderEvent::Batch(_)), "{event:?}");
    let before = reader.both.errors.load(Ordering::Relaxed);
    cluster.with(|it| it.request_errors(Api::Fetch, &[Code::RD_KAFKA_RESP_ERR_UNKNOWN; ERRORS]));
    write(&producer, "1").await;
    write(&producer, "2").await;
    passes(&reader.both.errors, before).await;
    let before = reader.both.rebalances.load(Ordering::Relaxed);
    let changes = &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS];
    cluster.with(move |it| it.request_errors(Api::Heartbeat, changes));
    passes(&reader.both.rebalances, before).await;
    cluster.with(|it| it.clear_request_errors(Api::Fetch));
    let mut read = Vec::new();
    while read.len() < 2 {
        match next(&mut reader).await {
            ReaderEvent::Batch(fetched) => {
                let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                let values = batch.iter().map(|record| record.value.unwrap().to_vec());
                read.extend(values);
                assert_eq!(
                    read,
                    [b"1", b"2"][..read.len()],
                    "something was passed over"
                );
            }
            // The mock takes a member that waits to join for lost if it stands still for a second.
            ReaderEvent::Lost(_) => {}
            ReaderEvent::Assigned(assigned) => {
                for it in assigned {
                    reader.seek(&it.at, 1).unwrap();
                }
            }
            other @ ReaderEvent::Revoking(_) => panic!("nobody else is in the group: {other:?}"),
        }
    }
    Box::new(reader).close().await.unwrap();
}

/// librdkafka stops a partition at such an error, and throws the error away when the group changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_place_is_gone_hears_of_it_after_a_change_of_the_group_too() {
    let (cluster, mut reader, producer) = joined(1).await;
    write(&producer, "0").await;
    let event = next(&mut reader).await;
    assert!(matches!(event, ReaderEvent::Batch(_)), "{event:?}");
    let before = reader.both.errors.load(Ordering::Relaxed);
    cluster.with(|it| it.request_errors(Api::Fetch, &[Code::RD_KAFKA_RESP_ERR_UNKNOWN]));
    passes(&reader.both.errors, before).await;
    reader.pause(&[first()]);
    let gone = &[Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; ERRORS];
    cluster.with(|it| it.request_errors(Api::Fetch, gone));
    let before = reader.both.rebalances.load(Ordering::Relaxed);
    let changes = &[Code::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS];
    cluster.with(move |it| it.request_errors(Api::Heartbeat, changes));
    passes(&reader.both.rebalances, before).await;
    reader.resume(&[first()]);
    let told = loop {
        match tokio::time::timeout(WAIT_MAX, reader.next()).await {
            // The mock takes a member that waits to join for lost if it stands still for a second.
            Ok(Ok(ReaderEvent::Lost(_))) => {}
            Ok(Ok(ReaderEvent::Assigned(assigned))) => {
                for it in assigned {
                    reader.seek(&it.at, 1).unwrap();
                }
            }
            told => break told,
        }
    };
    assert!(matches!(told, Ok(Err(LogError::Retriable(_)))), "{told:?}");
}
