//! The source alone, as fast as it goes; beside it librdkafka by itself with the same records.

use std::time::Duration;

use jackfield_exchange::{Exchange, Options, Speed};
use jackfield_log::{Log, TopicSpec};
use jackfield_log_kafka::{KafkaConfig, KafkaLog};
use jackfield_system_tests::{Cluster, Moment, PATIENCE, Rates, Site, Watched, shared_cluster};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::count::{self, AS_THE_SINK};
use crate::{LOOK_EVERY, PARTITIONS};

pub(crate) async fn measure(laps: u32) {
    let cluster = shared_cluster().await;
    let mut measured = Vec::new();
    let mut first = None;
    for delivery in ["exactly-once", "at-least-once"] {
        // What was streamed once would have to be asked for.
        let mut options = Options::spot().unwrap();
        (options.speed, options.laps) = (Speed::Unlimited, laps);
        let exchange = Exchange::start(options).await.unwrap();
        let total = exchange.status().total;
        let mut site = Site::new(&exchange).await;
        site.on_kafka(&cluster);
        site.set("/pipelines/trades/sinks", Value::Null);
        site.set("/pipelines/trades/delivery", json!(delivery));
        let mut source = Watched::run(&site, LOOK_EVERY).await;
        let records = "jackfield_records_total";
        let (from, before) = source.until(records, "trades-source", 1).await;
        let (to, _) = source.until(records, "trades-source", total).await;
        let rates = Rates::between(from, to, total - before);
        println!(
            "exchange to Kafka, {delivery}: {total} trades, {rates}, {:.0} MiB resident at most",
            source.peak_mib
        );
        source.stop().await;
        first.get_or_insert((site.topic("trade"), site.topic("again"), total));
        measured.push((delivery, rates));
    }
    let (topic, again, total) = first.expect("two were run");
    let log = KafkaLog::open(KafkaConfig::new(&cluster.servers)).unwrap();
    let spec = TopicSpec::new(&again, PARTITIONS);
    log.create_topic(&spec).await.unwrap();
    let alone = spawn_blocking(move || alone(&cluster, &topic, &again, total));
    let alone = alone.await.unwrap();
    println!("librdkafka alone, the same records: produce {alone}");
    for (delivery, rates) in measured {
        println!("beside it {delivery}: {}", rates.beside(alone));
    }
}

/// librdkafka writes the records of a topic to another one.
fn alone(cluster: &Cluster, topic: &str, again: &str, records: u64) -> Rates {
    let me = std::process::id();
    let kept = kept(cluster, topic, records);
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "zstd")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let from = Moment::of(me);
    for (partition, key, value) in &kept {
        let mut record = BaseRecord::to(again)
            .partition(*partition)
            .key(key)
            .payload(value);
        while let Err((error, refused)) = producer.send(record) {
            // What is on its way goes first.
            assert_eq!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::QueueFull)
            );
            record = refused;
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(PATIENCE).unwrap();
    Rates::between(from, Moment::of(me), records)
}

/// Partitions, keys and values of a topic's records.
fn kept(cluster: &Cluster, topic: &str, records: u64) -> Vec<(i32, Vec<u8>, Vec<u8>)> {
    let consumer = count::consumer(&cluster.servers, topic, AS_THE_SINK);
    let bytes = |it: Option<&[u8]>| it.unwrap_or_default().to_vec();
    let record = |_| {
        let message = count::next(&consumer);
        let (key, value) = (bytes(message.key()), bytes(message.payload()));
        (message.partition(), key, value)
    };
    (0..records).map(record).collect()
}
