//! Appends and reads back on a cluster, and says how fast, beside librdkafka alone in the same run:
//! the figures of docs/BENCHMARKS.md.
//!
//! `cargo run --release -p jackfield-log-kafka --example throughput -- [localhost:9092 [records]]`
//!
//! Without a cluster it starts a broker of its own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use jackfield_batch::{BatchWriter, Record};
use jackfield_log::{
    Append, Identity, InboxMark, Log, Output, Position, ReaderEvent, ReaderSpec, Start, TopicSpec,
};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_test_kafka::Broker;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

const BATCH_RECORDS: usize = 500;
const VALUE_BYTES: usize = 200;
const PARTITIONS: i32 = 4;
/// As the pipelines have.
const IN_FLIGHT: usize = 256;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let own = args.next();
    let broker = match &own {
        None => Some(tokio::task::spawn_blocking(Broker::start).await.unwrap()),
        Some(_) => None,
    };
    let servers = own.unwrap_or_else(|| broker.as_ref().unwrap().address());
    let records: usize = args.next().map_or(5_000_000, |n| n.parse().unwrap());
    let log = KafkaLog::open(KafkaConfig::new(&servers)).unwrap();
    let alone = format!("alone-{}", Uuid::new_v4().simple());
    log.create_topic(&TopicSpec::new(&alone, PARTITIONS))
        .await
        .unwrap();
    let (to, topic) = (servers.clone(), alone.clone());
    let ceiling = tokio::task::spawn_blocking(move || librdkafka_alone(&to, &topic, records));
    ceiling.await.unwrap();
    log.delete_topic(&alone).await.unwrap();
    for exactly_once in [true, false] {
        let delivery = if exactly_once {
            "exactly once"
        } else {
            "at least once"
        };
        let topic = format!("throughput-{}", Uuid::new_v4().simple());
        log.create_topic(&TopicSpec::new(&topic, PARTITIONS))
            .await
            .unwrap();
        let identity = Identity {
            cluster: "bench".into(),
            connector: topic.clone(),
            slot: "0".into(),
        };
        let writer = if exactly_once {
            log.writer(&identity).await
        } else {
            log.writer_at_least_once(&identity).await
        };
        let mut writer = writer.unwrap();
        let mut one = Vec::new();
        for n in 0..200 {
            let from = Instant::now();
            let pending = writer.append(append(&topic, n, 1)).await.unwrap();
            pending.await.unwrap();
            one.push(from.elapsed());
        }
        one.sort_unstable();
        println!(
            "{delivery}: one record at a time: p50 {:?}, p99 {:?}",
            one[100], one[198]
        );
        let (cpu, from) = (cpu_time(), Instant::now());
        let mut in_flight = VecDeque::new();
        for n in 0..records / BATCH_RECORDS {
            if in_flight.len() == IN_FLIGHT {
                let pending: jackfield_log::Pending = in_flight.pop_front().unwrap();
                pending.await.unwrap();
            }
            let append = append(&topic, n, BATCH_RECORDS);
            in_flight.push_back(writer.append(append).await.unwrap());
        }
        for pending in in_flight {
            pending.await.unwrap();
        }
        told(
            &format!("{delivery}: append"),
            records,
            from.elapsed(),
            cpu_time() - cpu,
        );
        writer.close().await.unwrap();
        if exactly_once {
            read(&log, &topic, records + 200).await;
        }
        log.delete_topic(&topic).await.unwrap();
    }
}

async fn read(log: &KafkaLog, topic: &str, records: usize) {
    let spec = ReaderSpec {
        group: topic.into(),
        member: "0".into(),
        topics: vec![topic.into()],
        start: Start::Earliest,
    };
    let mut reader = log.reader(&spec).await.unwrap();
    let (mut read, mut batches) = (0, 0);
    let mut from = (Instant::now(), cpu_time());
    while read < records {
        match reader.next().await.unwrap() {
            ReaderEvent::Assigned(assigned) => {
                from = (Instant::now(), cpu_time());
                for it in assigned {
                    reader.seek(&it.at, it.ends.start).unwrap();
                }
            }
            ReaderEvent::Batch(fetched) => {
                let batch = jackfield_batch::Batch::parse(&fetched.batch, &Default::default());
                read += batch.unwrap().len() as usize;
                batches += 1;
            }
            _ => {}
        }
    }
    told("read", records, from.0.elapsed(), cpu_time() - from.1);
    println!("read: {} records a batch", records / batches);
    reader.close().await.unwrap();
}

/// What librdkafka does by itself: the same records, idempotent and compressed likewise, then read
/// one by one.
fn librdkafka_alone(servers: &str, topic: &str, records: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let (cpu, from) = (cpu_time(), Instant::now());
    let mut value = vec![b'x'; VALUE_BYTES];
    for n in 0..records {
        value[..8].copy_from_slice(&n.to_be_bytes());
        let partition = i32::try_from(n / BATCH_RECORDS).unwrap() % PARTITIONS;
        let mut record = BaseRecord::to(topic)
            .partition(partition)
            .key("BTCUSDT")
            .payload(&value);
        // It is full: what is on its way goes first.
        while let Err((_, again)) = producer.send(record) {
            record = again;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    told(
        "librdkafka alone: produce",
        records,
        from.elapsed(),
        cpu_time() - cpu,
    );

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", topic)
        .set("isolation.level", "read_committed")
        // By itself it rests for a second whenever enough lies ready.
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    let (cpu, from) = (cpu_time(), Instant::now());
    consumer.assign(&all).unwrap();
    let mut read = 0;
    while read < records {
        if let Some(message) = consumer.poll(Duration::from_secs(60)) {
            assert!(message.unwrap().payload().is_some());
            read += 1;
        }
    }
    told(
        "librdkafka alone: consume",
        records,
        from.elapsed(),
        cpu_time() - cpu,
    );
}

fn append(topic: &str, n: usize, records: usize) -> Append {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut value = vec![b'x'; VALUE_BYTES];
    let mut batch = BatchWriter::new();
    for i in 0..records {
        value[..8].copy_from_slice(&(n * records + i).to_be_bytes());
        let record = Record {
            timestamp_ms: i64::try_from(now.as_millis()).unwrap(),
            key: Some(b"BTCUSDT"),
            value: Some(&value),
            ..Record::default()
        };
        batch.push(&record).unwrap();
    }
    Append {
        outputs: vec![Output {
            topic: topic.into(),
            partition: i32::try_from(n).unwrap() % PARTITIONS,
            batch: batch.finish().into(),
        }],
        positions: vec![Position {
            partition: r#"{"p":0}"#.into(),
            offset: Some(format!(r#"{{"n":{n}}}"#)),
        }],
        mark: Some(InboxMark {
            epoch: Uuid::from_u128(7),
            done_through: n as u64,
        }),
    }
}

fn told(what: &str, records: usize, wall: Duration, cpu: Duration) {
    let a_second = records as f64 / wall.as_secs_f64() / 1000.0;
    let a_core = records as f64 / cpu.as_secs_f64() / 1000.0;
    println!(
        "{what}: {a_second:.0} k records/s, {a_core:.0} k records per CPU second of this process"
    );
}

/// What this process has used, from the kernel's own count in hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
