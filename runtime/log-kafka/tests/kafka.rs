//! What only Kafka has: other processes, other clients, topics that others change.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "kafka/topics.rs"]
mod topics;

use common::{
    WAIT_MAX, append, at, content, identity, last, numbered, numbers, open, output, position, spec,
    texts, unique, within,
};
use jackfield_log::{Append, Log, LogError, ReaderEvent, Stored, TopicSpec, Writer};
use jackfield_log_kafka::{KafkaConfig, KafkaLog, Membership};
use jackfield_test_kafka::Broker;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Ends with this process.
static BROKER: LazyLock<Broker> = LazyLock::new(Broker::start);

async fn config() -> KafkaConfig {
    let servers = tokio::task::spawn_blocking(|| BROKER.address()).await;
    KafkaConfig::new(&servers.unwrap())
}

/// As another process opens it: it shares nothing with other logs.
async fn another() -> Arc<KafkaLog> {
    KafkaLog::open(config().await).unwrap()
}

async fn topic(log: &KafkaLog, partitions: i32) -> String {
    let topic = unique("topic");
    let spec = TopicSpec::new(&topic, partitions);
    log.create_topic(&spec).await.unwrap();
    topic
}

fn dynamic(log: &Arc<KafkaLog>) -> Arc<dyn Log> {
    log.clone()
}

/// A writer whose identity another process has taken over can't append, and moves no position.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_of_another_process_is_fenced() {
    let (zombie, taker) = (another().await, another().await);
    let topic = topic(&zombie, 1).await;
    let identity = identity(&unique("connector"));
    let mut old = open(&dynamic(&zombie), &identity).await;
    append(&mut old, numbered(&topic, 1, 1)).await.unwrap();
    let mut new = open(&dynamic(&taker), &identity).await;
    let outcome = append(&mut old, numbered(&topic, 1, 2)).await;
    assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    assert_eq!(last(&dynamic(&taker), &identity).await, 1);
    append(&mut new, numbered(&topic, 1, 2)).await.unwrap();
    let landed = content(&dynamic(&taker), &topic, 1).await;
    assert_eq!(landed[0], numbers(2));
}

/// At least once: a zombie's records may land, and its positions never do.
#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_that_is_at_least_once_moves_no_position() {
    let (zombie, taker) = (another().await, another().await);
    let topic = topic(&zombie, 1).await;
    let identity = identity(&unique("connector"));
    let writer = zombie.writer_at_least_once(&identity).await;
    let mut old: Box<dyn Writer> = writer.unwrap();
    let offsets = append(&mut old, numbered(&topic, 1, 1)).await.unwrap();
    assert_eq!(offsets.len(), 1);
    let writer = taker.writer_at_least_once(&identity).await;
    let mut new = writer.unwrap();
    let outcome = append(&mut old, numbered(&topic, 1, 2)).await;
    assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    assert_eq!(last(&dynamic(&taker), &identity).await, 1);
    append(&mut new, numbered(&topic, 1, 2)).await.unwrap();
    assert_eq!(last(&dynamic(&taker), &identity).await, 2);
    let landed = content(&dynamic(&taker), &topic, 1).await;
    assert_eq!(landed[0], ["1", "2", "2"]);
}

/// Of appends that share a transaction only the one that the brokers refuse is told so: those
/// before it land, and of those after it nothing does.
#[tokio::test(flavor = "multi_thread")]
async fn of_appends_that_share_a_transaction_the_wrong_one_is_refused() {
    let log = KafkaLog::open(KafkaConfig {
        linger: Duration::from_millis(500),
        ..config().await
    })
    .unwrap();
    let (good, small) = (topic(&log, 1).await, unique("small"));
    let mut spec = TopicSpec::new(&small, 1);
    spec.configs
        .insert("max.message.bytes".into(), "1000".into());
    log.create_topic(&spec).await.unwrap();
    let identity = identity(&unique("connector"));
    let mut writer = open(&dynamic(&log), &identity).await;
    // What does not compress.
    let large: String = (0..400).map(|_| unique("")).collect();
    let wrong = Append {
        outputs: vec![output(&good, 0, &["x".into()]), output(&small, 0, &[large])],
        ..Append::default()
    };
    let mut pendings = Vec::new();
    for append in [numbered(&good, 1, 1), wrong, numbered(&good, 1, 2)] {
        pendings.push(writer.append(append).await.unwrap());
    }
    let mut outcomes = Vec::new();
    for pending in pendings {
        outcomes.push(within("an outcome", pending).await);
    }
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    assert!(
        matches!(outcomes[1], Err(LogError::Rejected(_))),
        "{outcomes:?}"
    );
    assert!(
        matches!(outcomes[2], Err(LogError::Fenced(_))),
        "{outcomes:?}"
    );
    assert_eq!(last(&dynamic(&log), &identity).await, 1);
    assert_eq!(content(&dynamic(&log), &good, 1).await[0], ["1"]);
}

/// A reader is told of a topic that someone else deleted and made again: the old partition is lost,
/// the new one has another id, and an offset of the old one that lies past its end is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_by_others_is_told() {
    let log = KafkaLog::open(KafkaConfig {
        topic_check_every: Duration::from_millis(100),
        ..config().await
    })
    .unwrap();
    let topic = topic(&log, 1).await;
    let mut writer = open(&dynamic(&log), &identity(&unique("connector"))).await;
    for n in 1..=10 {
        append(&mut writer, numbered(&topic, 1, n)).await.unwrap();
    }
    let mut reader = log.reader(&spec(&unique("group"), &topic)).await.unwrap();
    let first = match within("an assignment", reader.next()).await.unwrap() {
        ReaderEvent::Assigned(assigned) => assigned[0].clone(),
        other => panic!("{other:?}"),
    };
    reader.seek(&first.at, first.ends.start).unwrap();
    let mut read = Vec::new();
    let mut stands = 0;
    while read.len() < 10 {
        if let ReaderEvent::Batch(fetched) = within("a batch", reader.next()).await.unwrap() {
            read.extend(texts(&fetched.batch));
            stands = fetched.next_offset;
        }
    }
    let others = another().await;
    others.delete_topic(&topic).await.unwrap();
    let made = others
        .create_topic(&TopicSpec::new(&topic, 1))
        .await
        .unwrap();
    let lost = within("the old one is lost", reader.next()).await.unwrap();
    assert_eq!(lost, ReaderEvent::Lost(vec![at(&topic, 0)]));
    let again = match within("the new one is told", reader.next()).await.unwrap() {
        ReaderEvent::Assigned(assigned) => assigned[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(again.topic_id, made.id);
    assert_ne!(again.topic_id, first.topic_id);
    let outcome = reader.seek(&again.at, stands);
    assert!(matches!(outcome, Err(LogError::Rejected(_))), "{outcome:?}");
    reader.close().await.unwrap();
}

/// A reader stands past the control records that follow what it read: at the very end, not one
/// before it, so that it never seems to lag behind nor to stand before the beginning later.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_stands_past_control_records() {
    let log = another().await;
    let topic = topic(&log, 1).await;
    let mut writer = open(&dynamic(&log), &identity(&unique("connector"))).await;
    append(&mut writer, numbered(&topic, 1, 1)).await.unwrap();
    let mut reader = log.reader(&spec(&unique("group"), &topic)).await.unwrap();
    loop {
        match within("an event", reader.next()).await.unwrap() {
            ReaderEvent::Assigned(assigned) => reader.seek(&assigned[0].at, 0).unwrap(),
            ReaderEvent::Batch(fetched) => {
                let ends = log.ends(&topic, 0).await.unwrap();
                assert_eq!(fetched.next_offset, ends.end);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    reader.close().await.unwrap();
}

/// Writes records in a transaction of their own and aborts it.
async fn abort(topic: &str, records: u64) {
    let topic = topic.to_owned();
    let aborting = move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", BROKER.address())
            .set("transactional.id", unique("aborted"))
            .create()
            .unwrap();
        producer.init_transactions(WAIT_MAX).unwrap();
        producer.begin_transaction().unwrap();
        for _ in 0..records {
            let record = BaseRecord::<(), _>::to(&topic).payload("aborted");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(WAIT_MAX).unwrap();
        producer.abort_transaction(WAIT_MAX).unwrap();
    };
    tokio::task::spawn_blocking(aborting).await.unwrap();
}

/// A reader passes what was aborted though no record follows it, and comes to stand at the end:
/// else it would lag for ever, and stand before the beginning once retention has been there.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_passes_what_was_aborted_at_the_end() {
    const WRITTEN: u64 = 10;
    const ABORTED: u64 = 10;
    // Each append is a transaction with a record and a mark.
    const END: i64 = (WRITTEN * 2 + ABORTED + 1).cast_signed();
    let log = another().await;
    let topic = topic(&log, 1).await;
    let mut writer = open(&dynamic(&log), &identity(&unique("connector"))).await;
    for n in 1..=WRITTEN {
        append(&mut writer, numbered(&topic, 1, n)).await.unwrap();
    }
    let mut reader = log.reader(&spec(&unique("group"), &topic)).await.unwrap();
    let (mut read, mut stands, mut aborted) = (Vec::new(), 0, false);
    while stands < END {
        match within("an event", reader.next()).await.unwrap() {
            ReaderEvent::Assigned(assigned) => {
                for it in assigned {
                    reader.seek(&it.at, 0).unwrap();
                }
            }
            ReaderEvent::Batch(fetched) => {
                assert_eq!(fetched.position, stands);
                read.extend(texts(&fetched.batch));
                stands = fetched.next_offset;
            }
            other => panic!("nobody else is in the group: {other:?}"),
        }
        if !aborted && read == numbers(WRITTEN) {
            aborted = true;
            abort(&topic, ABORTED).await;
        }
    }
    assert_eq!(stands, log.ends(&topic, 0).await.unwrap().end);
    assert_eq!(read, numbers(WRITTEN));
    reader.commit(&[(at(&topic, 0), stands)]).await.unwrap();
    reader.close().await.unwrap();
}

/// A member that does not release what is revoked loses it when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_released_in_time_is_lost() {
    let log = KafkaLog::open(KafkaConfig {
        revoke_max: Duration::from_secs(1),
        ..config().await
    })
    .unwrap();
    let topic = topic(&log, 2).await;
    let group = unique("group");
    let mut slow = log.reader(&spec(&group, &topic)).await.unwrap();
    within("all", slow.next()).await.unwrap();
    let mut other = spec(&group, &topic);
    other.member = "other".into();
    let mut other = log.reader(&other).await.unwrap();
    let revoking = match within("a revocation", slow.next()).await.unwrap() {
        ReaderEvent::Revoking(partitions) => partitions,
        event => panic!("{event:?}"),
    };
    let has_it = async {
        loop {
            match other.next().await.unwrap() {
                // It has joined, and waits for what is not released.
                ReaderEvent::Assigned(none) if none.is_empty() => {}
                ReaderEvent::Assigned(assigned) => return assigned,
                event => panic!("{event:?}"),
            }
        }
    };
    let (lost, assigned) = tokio::join!(
        within("it is lost", slow.next()),
        within("the other has it", has_it)
    );
    assert_eq!(lost.unwrap(), ReaderEvent::Lost(revoking.clone()));
    assert_eq!(assigned[0].at, revoking[0]);
    let outcome = slow.commit(&[(revoking[0].clone(), 0)]).await;
    assert!(matches!(outcome, Err(LogError::Fenced(_))), "{outcome:?}");
    other.close().await.unwrap();
    slow.close().await.unwrap();
}

/// Members without names don't fence each other, though they are called alike: both stay, and share.
#[tokio::test(flavor = "multi_thread")]
async fn nameless_members_share_though_they_are_called_alike() {
    let log = KafkaLog::open(KafkaConfig {
        membership: Membership::Dynamic,
        ..config().await
    })
    .unwrap();
    let topic = topic(&log, 2).await;
    let spec = spec(&unique("group"), &topic);
    let mut one = log.reader(&spec).await.unwrap();
    let mut two = log.reader(&spec).await.unwrap();
    let mut held = [BTreeSet::new(), BTreeSet::new()];
    while held.iter().any(|held| held.len() != 1) {
        let (member, event) = tokio::select! {
            event = within("an event of one", one.next()) => (0, event.unwrap()),
            event = within("an event of the other", two.next()) => (1, event.unwrap()),
        };
        match event {
            ReaderEvent::Assigned(all) => held[member].extend(all.into_iter().map(|it| it.at)),
            ReaderEvent::Revoking(all) => {
                let reader = if member == 0 { &mut one } else { &mut two };
                reader.release(&all).await.unwrap();
                held[member].retain(|at| !all.contains(at));
            }
            other => panic!("{other:?}"),
        }
    }
    let [of_one, of_two] = held;
    assert!(of_one.is_disjoint(&of_two));
    for (reader, held) in [(&mut one, of_one), (&mut two, of_two)] {
        let offsets: Vec<_> = held.into_iter().map(|at| (at, 0)).collect();
        reader.commit(&offsets).await.unwrap();
    }
    one.close().await.unwrap();
    two.close().await.unwrap();
}

/// Positions lie in their topic as Kafka Connect writes its own, and values with a schema as the
/// registry's clients do.
#[tokio::test(flavor = "multi_thread")]
async fn positions_lie_as_kafka_connect_writes_them() {
    let cluster = unique("cluster");
    let log = KafkaLog::open(KafkaConfig {
        cluster: cluster.clone(),
        ..config().await
    })
    .unwrap();
    let topic = topic(&log, 1).await;
    let identity = identity("connector");
    let mut writer = open(&dynamic(&log), &identity).await;
    append(&mut writer, numbered(&topic, 1, 1)).await.unwrap();
    let offsets = format!("{cluster}-offsets");
    let read = tokio::task::spawn_blocking(move || {
        let servers = BROKER.address();
        BROKER.tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            &[
                "--bootstrap-server",
                &servers,
                "--topic",
                &offsets,
                "--from-beginning",
                "--max-messages",
                "2",
                "--isolation-level",
                "read_committed",
                "--formatter-property",
                "print.key=true",
            ],
        )
    });
    let mut lines: Vec<String> = read.await.unwrap().lines().map(Into::into).collect();
    lines.sort();
    let mark = format!(
        r#"["connector",{{"jackfield-slot":"0"}}]	{{"done-through":1,"epoch":"{}"}}"#,
        uuid::Uuid::from_u128(7)
    );
    assert_eq!(lines, [mark, r#"["connector",{"p":0}]	{"n":1}"#.into()]);
    // And what Connect's tools delete is deleted.
    let deleted = jackfield_log::Position {
        offset: None,
        ..position(1)
    };
    log.set_positions("connector", &[deleted]).await.unwrap();
    let stored = log.stored(&identity).await.unwrap();
    assert_eq!(stored.positions, Stored::default().positions);
}

/// A record that is too large for a batch stops the reader there: what lies before it is delivered,
/// then the record is named; past it reading goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_is_named_after_what_lies_before_it() {
    let log = another().await;
    let topic = topic(&log, 1).await;
    let mut writer = open(&dynamic(&log), &identity(&unique("connector"))).await;
    append(&mut writer, numbered(&topic, 1, 1)).await.unwrap();
    let foreign: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", BROKER.address())
        .create()
        .unwrap();
    let large = vec![b'x'; jackfield_batch::BATCH_BYTES_MAX];
    let record = FutureRecord::<(), _>::to(&topic).payload(&large);
    let sent = foreign.send(record, Duration::from_secs(30)).await.unwrap();
    append(&mut writer, numbered(&topic, 1, 2)).await.unwrap();
    let mut reader = log.reader(&spec(&unique("group"), &topic)).await.unwrap();
    let mut read = Vec::new();
    let error = loop {
        match within("an event", reader.next()).await {
            Ok(ReaderEvent::Assigned(assigned)) => reader.seek(&assigned[0].at, 0).unwrap(),
            Ok(ReaderEvent::Batch(fetched)) => read.extend(texts(&fetched.batch)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, ["1"]);
    assert!(matches!(error, LogError::Rejected(_)), "{error:?}");
    let named = error.to_string();
    assert!(
        named.contains(&format!("offset {} of {topic}-0", sent.offset)),
        "{named}"
    );
    assert_eq!(within("again", reader.next()).await.unwrap_err(), error);
    reader.seek(&at(&topic, 0), sent.offset + 1).unwrap();
    match within("past it", reader.next()).await.unwrap() {
        ReaderEvent::Batch(fetched) => assert_eq!(texts(&fetched.batch), ["2"]),
        other => panic!("{other:?}"),
    }
    reader.close().await.unwrap();
}

/// Deletes a partition's records below `offset`, as retention does.
async fn forget(topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", BROKER.address())
        .create()
        .unwrap();
    let mut below = TopicPartitionList::new();
    below
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .unwrap();
    let options = AdminOptions::new();
    let deleting = admin.delete_records(&below, &options);
    let deleted = within("records are deleted", deleting).await.unwrap();
    deleted.elements()[0].error().unwrap();
}

/// Appends of [`fill`].
const APPENDS: u64 = 40;
const RECORDS_EACH: u64 = 100;
/// Records of each partition then: more than is fetched ahead.
const ALL: u64 = APPENDS * RECORDS_EACH;

/// Fills all partitions with records that begin with their number, in five digits. Gives the writer.
async fn fill(
    log: &Arc<KafkaLog>,
    topic: &str,
    partitions: i32,
    filling: impl Fn() -> String,
) -> Box<dyn Writer> {
    let mut writer = open(&dynamic(log), &identity(&unique("connector"))).await;
    for n in 0..APPENDS {
        let all = n * RECORDS_EACH..(n + 1) * RECORDS_EACH;
        let texts: Vec<String> = all.map(|it| format!("{it:05}{}", filling())).collect();
        let outputs = (0..partitions).map(|partition| output(topic, partition, &texts));
        let numbered = Append {
            outputs: outputs.collect(),
            ..Append::default()
        };
        append(&mut writer, numbered).await.unwrap();
    }
    writer
}

/// A member that stands at what retention deletes ends and says so; the next one is told where the
/// partition begins now, and reads on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_ends_where_retention_took_what_it_stood_at_and_the_next_reads_on() {
    let log = another().await;
    let topic = topic(&log, 1).await;
    // What does not compress.
    let filling = || (0..30).map(|_| unique("")).collect();
    fill(&log, &topic, 1, filling).await;
    let end = log.ends(&topic, 0).await.unwrap().end;
    let last = end - i64::try_from(RECORDS_EACH).unwrap();
    let group = unique("group");
    let mut begins = vec![0, last].into_iter();
    let (mut read, mut ends) = (Vec::new(), Vec::new());
    while read.last() != Some(&(ALL - 1)) {
        let joined = within("a member joins", log.reader(&spec(&group, &topic))).await;
        let mut reader = joined.unwrap();
        let ended = loop {
            match within("an event", reader.next()).await {
                Ok(ReaderEvent::Assigned(assigned)) => {
                    let starts = assigned[0].ends.start;
                    assert_eq!(Some(starts), begins.next());
                    reader.seek(&assigned[0].at, starts).unwrap();
                }
                Ok(ReaderEvent::Batch(fetched)) => {
                    let texts = texts(&fetched.batch);
                    read.extend(texts.iter().map(|it| it[..5].parse::<u64>().unwrap()));
                    if log.ends(&topic, 0).await.unwrap().start == 0 {
                        forget(&topic, 0, last).await;
                    }
                    if read.last() == Some(&(ALL - 1)) {
                        break None;
                    }
                }
                Ok(other) => panic!("nobody else is in the group: {other:?}"),
                Err(error) => break Some(error),
            }
        };
        ends.extend(ended);
        reader.close().await.unwrap();
    }
    assert!(matches!(&ends[..], [LogError::Retriable(_)]), "{ends:?}");
    let named = ends[0].to_string();
    assert!(named.contains(&format!("{topic}-0")), "{named}");
    assert!(read.is_sorted_by(|a, b| a < b), "in order and once");
}

/// A partition whose last offset is a transaction's mark has an end all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_tells_an_end_that_no_record_has() {
    let log = another().await;
    let topic = topic(&log, 1).await;
    let mut writer = open(&dynamic(&log), &identity(&unique("connector"))).await;
    let one = Append {
        outputs: vec![output(&topic, 0, &["one".to_owned()])],
        ..Append::default()
    };
    append(&mut writer, one).await.unwrap();
    // A record and a mark, which the brokers write after they have answered.
    let (end, begin) = (2, Instant::now());
    while log.ends(&topic, 0).await.unwrap().end < end {
        assert!(begin.elapsed() < WAIT_MAX, "there is no mark");
    }
    let mut browser = log.browse(&topic, &[(0, end - 1)]).await.unwrap();
    while browser.reached(0) != Some(end) {
        assert!(begin.elapsed() < WAIT_MAX, "{:?}", browser.reached(0));
        let looked = within("it looks", browser.next()).await.unwrap();
        assert!(looked.is_none(), "{looked:?}");
    }
}

/// What retention deletes while someone looks is passed over, and of the other partitions nothing is
/// given twice nor left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_passes_over_what_is_deleted_and_doubles_nothing() {
    let log = another().await;
    let topic = topic(&log, 2).await;
    let mut writer = fill(&log, &topic, 2, || "x".repeat(1000)).await;
    let mut browser = log.browse(&topic, &[(0, 0), (1, 0)]).await.unwrap();
    let mut next: BTreeMap<i32, u64> = BTreeMap::new();
    let mut deleted = false;
    let begin = Instant::now();
    while next.values().filter(|it| **it == ALL + 1).count() < 2 {
        assert!(begin.elapsed() < WAIT_MAX, "not all is given: {next:?}");
        let looked = within("records are given", browser.next()).await.unwrap();
        let Some(fetched) = looked else { continue };
        let partition = fetched.at.partition;
        for text in texts(&fetched.batch) {
            let number: u64 = text[..5].parse().unwrap();
            let expected = next.get(&partition).copied().unwrap_or(0);
            if partition == 0 {
                assert!(number >= expected, "{number} of 0 is given twice");
            } else {
                assert_eq!(number, expected, "of 1");
            }
            next.insert(partition, number + 1);
        }
        if !deleted {
            deleted = true;
            let end = log.ends(&topic, 0).await.unwrap().end;
            forget(&topic, 0, end).await;
            let last = format!("{ALL:05}");
            let outputs = (0..2).map(|it| output(&topic, it, std::slice::from_ref(&last)));
            let last = Append {
                outputs: outputs.collect(),
                ..Append::default()
            };
            append(&mut writer, last).await.unwrap();
        }
    }
}
