//! fjall and redb side by side on what the embedded log does: `cargo bench -p jackfield-log-embedded
//! --bench engines`. Rounds are interleaved, so that a busy machine slows all of them alike: trust
//! the ratios. `ROUNDS`, `MIB` (written a round) and `DIR` may be set in the environment.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench on plain threads"
)]

mod candidates;
mod measures;

use candidates::{Candidate, KINDS};
use std::path::PathBuf;

fn main() {
    if let Ok(task) = std::env::var("ENGINES_CHILD") {
        return measures::child(&task);
    }
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (rounds, mib) = (number("ROUNDS", 3), number("MIB", 512));
    let base = std::env::var("DIR").map_or_else(|_| std::env::temp_dir(), PathBuf::from);
    let dir = tempfile::tempdir_in(base).unwrap();
    println!("{rounds} rounds, {mib} MiB each; records of 200 bytes; medians");

    let full_disk = || {
        for kind in KINDS {
            println!(
                "full disk, {kind:?}: {}",
                measures::full_disk(kind, dir.path())
            );
        }
    };
    if std::env::var_os("ONLY_FULL_DISK").is_some() {
        return full_disk();
    }
    for (title, batch, group) in [
        ("batches of 200 kB, 16 an fsync", 200_000, 16),
        ("batches of 2 kB, 64 an fsync", 2_000, 64),
    ] {
        table(
            title,
            &[
                "records/s",
                "MB/s",
                "disk/appended",
                "written/appended",
                "CPU s/GB",
            ],
            rounds,
            |kind| {
                let bytes = if batch < 10_000 { mib << 16 } else { mib << 20 };
                measures::throughput(kind, dir.path(), batch, group, bytes)
            },
        );
    }
    for (title, batch, n) in [
        ("one 200 kB batch an fsync, tail reader", 200_000, 400),
        ("one 2 kB batch an fsync, tail reader", 2_000, 1500),
    ] {
        table(
            title,
            &["append p50 us", "p99 us", "read p50 us", "read p99 us"],
            rounds,
            |kind| measures::latency(kind, dir.path(), batch, n),
        );
    }
    table(
        "retention: 200 kB batches, the newest 64 MB kept",
        &["records/s", "disk/kept", "written/appended"],
        rounds,
        |kind| measures::retention(kind, dir.path(), mib << 20),
    );
    table(
        "kill -9 while appending, then open",
        &["open ms", "GB held", "lost", "resident MiB"],
        rounds,
        |kind| measures::reopen(kind, dir.path(), mib << 20),
    );
    println!();
    full_disk();
}

/// Prints the median over the rounds of each figure, a line a candidate.
fn table(
    title: &str,
    columns: &[&str],
    rounds: usize,
    mut measure: impl FnMut(Candidate) -> Vec<f64>,
) {
    let mut figures: Vec<Vec<Vec<f64>>> = vec![Vec::new(); KINDS.len()];
    for _ in 0..rounds {
        for (kind, figures) in KINDS.iter().zip(&mut figures) {
            figures.push(measure(*kind));
        }
    }
    println!(
        "\n{title}\n{:>14} {}",
        "",
        columns
            .iter()
            .map(|c| format!("{c:>17}"))
            .collect::<String>()
    );
    for (kind, rounds) in KINDS.iter().zip(figures) {
        let line: String = (0..columns.len())
            .map(|column| {
                let mut values: Vec<f64> = rounds.iter().map(|r| r[column]).collect();
                values.sort_by(f64::total_cmp);
                let median = values[values.len() / 2];
                if median >= 100.0 {
                    format!("{median:>17.0}")
                } else {
                    format!("{median:>17.2}")
                }
            })
            .collect();
        println!("{:>14} {line}", format!("{kind:?}"));
    }
}
