//! Appends to a log for ever, for the test that kills it: `log-embedded-appending FOLDER`. Each append carries
//! the next numbers as records of two partitions and the last number as the source's position;
//! what was acknowledged is written to stdout, a number a line.
#![allow(clippy::unwrap_used)]

use jackfield_batch::{BatchWriter, Record};
use jackfield_log::{Append, Identity, Log, Output, Position, TopicSpec};
use jackfield_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::collections::VecDeque;
use std::io::Write;

/// Appends on their way at once.
const IN_FLIGHT: usize = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let dir = std::env::args_os().nth(1).expect("a folder");
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir)).unwrap();
    log.create_topic(&TopicSpec::new("numbers", 2))
        .await
        .unwrap();
    let identity = Identity {
        cluster: "test".into(),
        connector: "numbers-source".into(),
        slot: "0".into(),
    };
    let mut writer = log.writer(&identity).await.unwrap();
    let stored = log.stored(&identity).await.unwrap();
    let mut number: u64 = match stored.positions.first() {
        Some(position) => position.offset.as_deref().unwrap().parse().unwrap(),
        None => 0,
    };
    let mut out = std::io::stdout();
    let mut pending = VecDeque::new();
    loop {
        let outputs = (0..2).map(|partition| {
            let mut batch = BatchWriter::new();
            for _ in 0..=number % 7 {
                number += 1;
                let text = number.to_string();
                let record = Record {
                    value: Some(text.as_bytes()),
                    ..Record::default()
                };
                batch.push(&record).unwrap();
            }
            Output {
                topic: "numbers".into(),
                partition,
                batch: batch.finish().into(),
            }
        });
        let append = Append {
            outputs: outputs.collect(),
            positions: vec![Position {
                partition: "{}".into(),
                offset: Some(number.to_string()),
            }],
            mark: None,
        };
        pending.push_back((number, writer.append(append).await.unwrap()));
        if pending.len() == IN_FLIGHT {
            let (number, outcome) = pending.pop_front().unwrap();
            outcome.await.unwrap();
            writeln!(out, "{number}").unwrap();
            out.flush().unwrap();
        }
    }
}
