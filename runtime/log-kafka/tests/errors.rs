//! What becomes of an append when the brokers answer with an error, on a mock that answers so.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/mock.rs"]
mod cluster;
mod common;

use cluster::Cluster;
use common::{again, append, identity, last, numbered, open};
use jackfield_log::{Log, LogError, Writer};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};
use std::sync::Arc;
use std::time::Duration;

/// A writer on a cluster of its own, with a topic of two partitions.
async fn opened() -> (Cluster, Arc<dyn Log>, Box<dyn Writer>) {
    let (cluster, config) = Cluster::start();
    cluster.make("topic", 2);
    let log: Arc<dyn Log> = KafkaLog::open(KafkaConfig {
        delivery_timeout: Duration::from_secs(5),
        ..config
    })
    .unwrap();
    let mut writer = open(&log, &identity("connector")).await;
    append(&mut writer, numbered("topic", 2, 1)).await.unwrap();
    (cluster, log, writer)
}

/// Appends while the next answers to one kind of request are these.
async fn append_with(api: Api, answers: &'static [Code]) -> (Result<Vec<i64>, LogError>, LogError) {
    let (cluster, _log, mut writer) = opened().await;
    cluster.with(move |cluster| cluster.request_errors(api, answers));
    let outcome = append(&mut writer, numbered("topic", 2, 2)).await;
    cluster.with(move |cluster| cluster.clear_request_errors(api));
    let after = append(&mut writer, numbered("topic", 2, 3)).await;
    (
        outcome,
        after.err().unwrap_or(LogError::Retriable("none".into())),
    )
}

/// What passes is waited out, whatever request it hits, and nothing is doubled.
#[tokio::test(flavor = "multi_thread")]
async fn errors_that_pass_are_waited_out() {
    const TIMES: usize = 2;
    for (api, code) in [
        (
            Api::Produce,
            Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ),
        (Api::Produce, Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS),
        (Api::Produce, Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT),
        (Api::Produce, Code::RD_KAFKA_RESP_ERR__TRANSPORT),
        (
            Api::AddPartitionsToTxn,
            Code::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        ),
        (
            Api::AddPartitionsToTxn,
            Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ),
        (
            Api::EndTxn,
            Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        ),
        (
            Api::EndTxn,
            Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        ),
        (Api::EndTxn, Code::RD_KAFKA_RESP_ERR__TRANSPORT),
    ] {
        let (cluster, log, mut writer) = opened().await;
        cluster.with(move |cluster| cluster.request_errors(api, &[code; TIMES]));
        let outcome = append(&mut writer, numbered("topic", 2, 2)).await;
        assert!(outcome.is_ok(), "{api:?} {code:?}: {outcome:?}");
        for partition in 0..2 {
            let ends = log.ends("topic", partition).await.unwrap();
            assert_eq!(ends.end, 2, "{api:?} {code:?}");
        }
    }
}

/// A commit that was sent and whose answer says that another has taken over may have landed.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_in_the_commits_answer_is_unknown() {
    let fenced = &[Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED];
    let (outcome, after) = append_with(Api::EndTxn, fenced).await;
    assert!(matches!(outcome, Err(LogError::Unknown(_))), "{outcome:?}");
    assert!(matches!(after, LogError::Fenced(_)), "{after:?}");
}

/// A fence that is noticed before the commit is sent is one: nothing landed.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_before_the_commit_is_fenced() {
    for (api, code) in [
        (
            Api::AddPartitionsToTxn,
            Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        ),
        (
            Api::AddPartitionsToTxn,
            Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        ),
    ] {
        let codes: &[Code] = vec![code].leak();
        let (outcome, after) = append_with(api, codes).await;
        assert!(
            matches!(outcome, Err(LogError::Fenced(_))),
            "{code:?}: {outcome:?}"
        );
        assert!(matches!(after, LogError::Fenced(_)), "{code:?}: {after:?}");
    }
}

/// What will be refused for ever is refused, and the writer ends.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_rejected() {
    for (api, code) in [
        (
            Api::AddPartitionsToTxn,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        ),
        (
            Api::Produce,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        ),
        (Api::Produce, Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE),
    ] {
        let codes: &[Code] = vec![code; 3].leak();
        let (outcome, after) = append_with(api, codes).await;
        assert!(
            matches!(outcome, Err(LogError::Rejected(_))),
            "{code:?}: {outcome:?}"
        );
        assert!(matches!(after, LogError::Fenced(_)), "{code:?}: {after:?}");
    }
}

/// At least once: a record that is refused is, one that is not acknowledged in time may be there.
/// Either way the positions stay, the writer ends, and the next one goes on from them.
#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_positions_stay_where_records_are_not_acknowledged() {
    /// More than are sent within the delivery timeout.
    const TRIES: usize = 1000;
    for (code, times, is_refused) in [
        (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 3, true),
        (Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 3, true),
        (Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, TRIES, false),
        (Code::RD_KAFKA_RESP_ERR__TRANSPORT, TRIES, false),
    ] {
        let (cluster, log, writer) = opened().await;
        drop(writer);
        let identity = identity("connector");
        let open = || log.writer_at_least_once(&identity);
        let mut writer = again("a writer opens", open).await;
        append(&mut writer, numbered("topic", 2, 2)).await.unwrap();
        cluster.with(move |cluster| cluster.request_errors(Api::Produce, &vec![code; times]));
        let outcome = append(&mut writer, numbered("topic", 2, 3)).await;
        cluster.with(|cluster| cluster.clear_request_errors(Api::Produce));
        match outcome {
            Err(LogError::Rejected(_)) if is_refused => {}
            Err(LogError::Unknown(_)) if !is_refused => {}
            other => panic!("{code:?}: {other:?}"),
        }
        let after = append(&mut writer, numbered("topic", 2, 4)).await;
        assert!(
            matches!(after, Err(LogError::Fenced(_))),
            "{code:?}: {after:?}"
        );
        assert_eq!(last(&log, &identity).await, 2, "{code:?}");
        let mut next = again("the next one opens", open).await;
        append(&mut next, numbered("topic", 2, 3)).await.unwrap();
        assert_eq!(last(&log, &identity).await, 3, "{code:?}");
    }
}

/// A writer whose transactions are forbidden can't be opened, and a person is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_transactional_id_is_fatal() {
    let (cluster, config) = Cluster::start();
    let log: Arc<dyn Log> = KafkaLog::open(config).unwrap();
    cluster.with(|cluster| {
        let code = Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        cluster.request_errors(Api::InitProducerId, &[code; 5]);
    });
    let opened = log.writer(&identity("connector")).await;
    assert!(matches!(opened, Err(LogError::Fatal(_))));
}
