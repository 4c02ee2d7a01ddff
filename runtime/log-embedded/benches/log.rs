//! The embedded log through its port: `cargo bench -p jackfield-log-embedded --bench log`. `DIR`
//! (whose disk is measured) and `SECONDS` (of each measure) may be set in the environment.
#![allow(clippy::unwrap_used, missing_docs)]

use jackfield_batch::{Batch, BatchWriter, Limits, Record};
use jackfield_log::{
    Append, Identity, Log, Output, ReaderEvent, ReaderSpec, Start, TopicPartition, TopicSpec,
};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORD_BYTES: usize = 200;
const WRITERS: usize = 4;
/// As a source task has.
const IN_FLIGHT: usize = 32;

fn main() {
    let base = std::env::var("DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let seconds = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    let time = Duration::from_secs(seconds);
    let dir = tempfile::tempdir_in(base).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let log = EmbeddedLog::open(EmbeddedConfig::new(dir.path().join("log"))).unwrap();
        for records in [250, 25] {
            throughput(&log, &format!("records-{records}"), records, time).await;
        }
        latency(&log, time).await;
    });
}

fn batch(records: usize, sent: Duration) -> bytes::Bytes {
    let mut value = [b'x'; RECORD_BYTES];
    value[..16].copy_from_slice(&sent.as_nanos().to_le_bytes());
    let mut writer = BatchWriter::new();
    for _ in 0..records {
        let record = Record {
            value: Some(&value),
            ..Record::default()
        };
        writer.push(&record).unwrap();
    }
    writer.finish().into()
}

fn identity(slot: usize) -> Identity {
    Identity {
        cluster: "bench".into(),
        connector: "bench".into(),
        slot: slot.to_string(),
    }
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

async fn throughput(log: &Arc<EmbeddedLog>, topic: &str, records: usize, time: Duration) {
    log.create_topic(&TopicSpec::new(topic, WRITERS as i32))
        .await
        .unwrap();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut tasks = Vec::new();
    for slot in 0..WRITERS {
        let (log, topic) = (Arc::clone(log), Arc::from(topic));
        tasks.push(tokio::spawn(async move {
            let mut writer = log.writer(&identity(slot)).await.unwrap();
            let bytes = batch(records, Duration::ZERO);
            let mut pending = VecDeque::new();
            let mut appended = 0;
            while began.elapsed() < time {
                let output = Output {
                    topic: Arc::clone(&topic),
                    partition: slot as i32,
                    batch: bytes.clone(),
                };
                let append = Append {
                    outputs: vec![output],
                    ..Append::default()
                };
                pending.push_back(writer.append(append).await.unwrap());
                if pending.len() == IN_FLIGHT {
                    pending.pop_front().unwrap().await.unwrap();
                }
                appended += records;
            }
            writer.close().await.unwrap();
            appended
        }));
    }
    let mut appended = 0;
    for task in tasks {
        appended += task.await.unwrap();
    }
    let (took, used) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "append   batches of {records}: {:>10.0} records/s, {:.0} MB/s, {:>10.0} records per CPU second",
        appended as f64 / took,
        (appended * RECORD_BYTES) as f64 / took / 1e6,
        appended as f64 / used
    );
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let mut reader = log.reader(&spec(topic)).await.unwrap();
    let mut read = 0;
    while read < appended {
        match reader.next().await.unwrap() {
            ReaderEvent::Assigned(assigned) => {
                assigned.iter().for_each(|a| reader.seek(&a.at, 0).unwrap());
            }
            ReaderEvent::Batch(fetched) => {
                read += (fetched.next_offset - fetched.position) as usize
            }
            other => panic!("{other:?}"),
        }
    }
    let (took, used) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "read     batches of {records}: {:>10.0} records/s, {:.0} MB/s, {:>10.0} records per CPU second",
        read as f64 / took,
        (read * RECORD_BYTES) as f64 / took / 1e6,
        read as f64 / used
    );
}

fn spec(topic: &str) -> ReaderSpec {
    ReaderSpec {
        group: format!("of-{topic}"),
        member: "0".into(),
        topics: vec![topic.into()],
        start: Start::Earliest,
    }
}

/// 10,000 records a second in appends of ten: from the call to the delivery.
async fn latency(log: &Arc<EmbeddedLog>, time: Duration) {
    const RECORDS: usize = 10;
    let topic = "latency";
    log.create_topic(&TopicSpec::new(topic, 1)).await.unwrap();
    let began = Instant::now();
    let mut reader = log.reader(&spec(topic)).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut waits = Vec::new();
        let mut last = Duration::ZERO;
        while last < time {
            match reader.next().await.unwrap() {
                ReaderEvent::Assigned(_) => reader.seek(&TopicPartition::new(topic, 0), 0).unwrap(),
                ReaderEvent::Batch(fetched) => {
                    let now = began.elapsed();
                    let batch = Batch::parse(&fetched.batch, &Limits::default()).unwrap();
                    let sent = batch.record(0).value.unwrap()[..16].try_into().unwrap();
                    last = Duration::from_nanos(u128::from_le_bytes(sent) as u64);
                    waits.push(now - last);
                }
                other => panic!("{other:?}"),
            }
        }
        waits
    });
    let mut writer = log.writer(&identity(0)).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut pending = VecDeque::new();
    while began.elapsed() < time + Duration::from_millis(50) {
        tick.tick().await;
        let output = Output {
            topic: topic.into(),
            partition: 0,
            batch: batch(RECORDS, began.elapsed()),
        };
        let append = Append {
            outputs: vec![output],
            ..Append::default()
        };
        pending.push_back(writer.append(append).await.unwrap());
        if pending.len() == IN_FLIGHT {
            pending.pop_front().unwrap().await.unwrap();
        }
    }
    let mut waits = reading.await.unwrap();
    waits.sort();
    let at = |q: f64| waits[((waits.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    println!(
        "latency  at 10,000 records/s, append to delivery: p50 {:.2} ms, p99 {:.2} ms",
        at(0.5),
        at(0.99)
    );
}
