//! Exchange → Kafka, and Kafka → Iceberg: the real binary with the real components, each end alone,
//! beside librdkafka alone with the same records. `scripts/bench` runs it. Words choose parts of it:
//! `source`, `stopped` and `lake`, of the last two only `avro` or only `json`.
#![allow(clippy::unwrap_used, missing_docs)]

mod count;
mod fill;
mod lake;
mod source;

use std::time::Duration;

use tokio::runtime::Runtime;

/// Of the topics.
const PARTITIONS: i32 = 4;
/// Between two looks at the metrics, or at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PARTS: [&str; 3] = ["source", "stopped", "lake"];
const FORMATS: [&str; 2] = ["avro", "json"];

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// What is measured: everything, but for what the words leave out.
struct Chosen(Vec<String>);

impl Chosen {
    fn of(words: Vec<String>) -> Chosen {
        for word in &words {
            let known = PARTS.contains(&word.as_str()) || FORMATS.contains(&word.as_str());
            assert!(known, "`{word}` is neither of {PARTS:?} nor of {FORMATS:?}");
        }
        Chosen(words)
    }

    /// Of a kind that no word is of, all are.
    fn has(&self, name: &str, kind: &[&str]) -> bool {
        let said = |name: &str| self.0.iter().any(|word| word == name);
        said(name) || !kind.iter().any(|&it| said(it))
    }
}

fn main() {
    // Cargo adds `--bench`.
    let words = std::env::args().skip(1);
    let words: Vec<String> = words.filter(|word| !word.starts_with("--")).collect();
    match words.split_first() {
        Some((first, rest)) if first == count::COUNT => count::run(rest),
        _ => Runtime::new()
            .unwrap()
            .block_on(measure(&Chosen::of(words))),
    }
}

async fn measure(chosen: &Chosen) {
    if chosen.has("source", &PARTS) {
        // 60 × 15,863 trades.
        source::measure(u32::try_from(number("LAPS", 60)).unwrap()).await;
    }
    let (stopped, lake) = (chosen.has("stopped", &PARTS), chosen.has("lake", &PARTS));
    if !stopped && !lake {
        return;
    }
    for format in FORMATS {
        if !chosen.has(format, &FORMATS) {
            continue;
        }
        let mut filled = lake::Filled::new(format, number("RECORDS", 5_000_000)).await;
        if stopped {
            filled.stopped().await;
        }
        if lake {
            filled.landed().await;
        }
    }
}
