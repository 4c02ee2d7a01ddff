//! One module a promise. All in one binary, so that they run beside each other: most wait for a
//! replay. `jackfield` is the real one, so are the components, the exchange's data and the readers.
#![allow(clippy::unwrap_used, missing_docs)]

mod admin;
mod alerts;
mod alerts_runbooks;
mod backup;
mod cli;
mod cli_connectors;
mod cli_topics;
mod crash;
mod disk;
mod doctor;
mod doctor_refused;
mod example;
mod faults;
mod filters;
mod held_back;
mod kafka;
mod kafka_counts;
mod kafka_crash;
mod kafka_dead_letters;
mod kafka_faults;
mod kafka_gathered;
mod kafka_given_up;
mod kafka_guest;
mod kafka_java;
mod kafka_latest;
mod kafka_post;
mod kafka_records;
mod kafka_rest;
mod kafka_schemas;
mod kafka_secure;
mod kafka_subjects;
mod lakes;
mod lakes_keys;
mod lakes_kills;
mod lakes_tables;
mod lakes_upkeep;
mod made_exit;
mod neighbours;
mod observed;
mod operation;
mod pace;
mod page;
mod patience;
mod reload;
mod rest;
mod rest_busy;
mod rest_configs;
mod rest_lands;
mod rest_offsets;
mod rest_offsets_refused;
mod rest_secrets;
mod rest_workers;
mod rollback;
mod shadow;
mod shadow_kafka;
mod shapes;
mod sink_stops;
mod stopping;
mod swap;
mod swap_beside;
mod swap_kafka;
mod swap_many;
mod swap_state;
mod telemetry;
mod types;
mod walk_through;

use std::collections::BTreeMap;
use std::path::Path;

use jackfield_exchange::{Exchange, Options, Running, Speed, Trade};
use jackfield_system_tests::{About, Jackfield, PATIENCE, Site, Table, compare, read_pyiceberg};
use rand::Rng;

/// What a sink says of each commit; the progress lines only count them.
const COMMITTED: &str = r#""message":"committed""#;

/// All trades of the recording.
const ALL: usize = 15_863;

async fn exchange(speed: Speed, change: impl FnOnce(&mut Options)) -> Running {
    let mut options = Options::spot().unwrap();
    options.speed = speed;
    change(&mut options);
    println!("exchange seed {}", options.seed);
    Exchange::start(options).await.unwrap()
}

/// One whose feed outlasts a test that does not wait for its end, however slow the machine is: twice
/// as long as a condition is waited for, since only few of them take long at once.
async fn lasting_exchange(trades_per_second: f64) -> Running {
    let trades = 2.0 * PATIENCE.as_secs_f64() * trades_per_second;
    let laps = (trades / ALL as f64).ceil() as u32;
    exchange(Speed::PerSecond(trades_per_second), |o| o.laps = laps).await
}

/// What a test's moments come from: another each time, or `JACKFIELD_SEED`, to see a failure again.
fn seed() -> u64 {
    let seed = match std::env::var("JACKFIELD_SEED") {
        Ok(text) => text.parse().expect("JACKFIELD_SEED is a number"),
        Err(_) => rand::rng().random(),
    };
    println!("JACKFIELD_SEED={seed}");
    seed
}

/// Runs a site's pipeline until it has been idle; it must end well.
async fn run_until_idle(site: &Site, idle: &str) -> Jackfield {
    let mut jackfield = Jackfield::run(site, &["--until-idle", idle]);
    assert_eq!(jackfield.wait().await, 0);
    jackfield
}

/// Of a feed that was not waited for: all trades of each symbol have landed once, up to the last one
/// of it that did, and `least` of them altogether.
async fn assert_landed_so_far(data: &Path, table: &str, sent: &[Trade], least: u64) {
    assert_holds_so_far(&read_pyiceberg(data, table).await, sent, least);
}

/// What [`assert_landed_so_far`] asserts, of a table that has been read.
fn assert_holds_so_far(table: &Table<About>, sent: &[Trade], least: u64) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &table.rows {
        let id = row["trade_id"].as_i64().unwrap();
        let last = last.entry(row["symbol"].as_str().unwrap()).or_insert(id);
        *last = id.max(*last);
    }
    let until_last = |it: &&Trade| last.get(&*it.symbol).is_some_and(|id| it.trade_id <= *id);
    let due: Vec<Trade> = sent.iter().filter(until_last).cloned().collect();
    let difference = compare(&due, &table.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(table.rows.len(), due.len());
    assert!(due.len() as u64 >= least, "{} of {least}", due.len());
}

/// Ends it amid a feed that lasts: of each of these tables, as much has landed as its sink has put.
async fn ends_amid_the_feed(
    jackfield: &mut Jackfield,
    site: &Site,
    exchange: &Running,
    put: &[(&str, u64)],
) {
    jackfield.terminate().await;
    assert_eq!(jackfield.wait().await, 0);
    let (data, sent) = (site.path().join("data"), exchange.trades());
    for (table, least) in put {
        assert_landed_so_far(&data, table, &sent, *least).await;
    }
}

/// Exactly these trades have landed in `market.trades`.
async fn assert_landed(data: &Path, sent: &[Trade]) -> Table<About> {
    let table = read_pyiceberg(data, "market.trades").await;
    let difference = compare(sent, &table.rows);
    assert!(difference.is_none(), "{difference}");
    assert_eq!(table.rows.len(), sent.len());
    table
}
