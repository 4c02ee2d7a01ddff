//! The commands that show what the log of a running process holds.

use std::process::Stdio;

use jackfield_exchange::Speed;
use jackfield_system_tests::{Artifacts, PATIENCE, Site};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::cli::{LOOK_EVERY, Running, TOPIC};
use crate::{ALL, assert_landed, exchange, run_until_idle};

const PARTITIONS: usize = 4;

impl Running {
    /// The records that `tail` prints.
    async fn tail(&self, args: &[&str]) -> Vec<Value> {
        let text = self.text(&[&["tail", TOPIC], args].concat()).await;
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_tell_what_the_log_holds() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    running.until_all_are_kept().await;

    let all = running.json(&["topics"]).await;
    assert_eq!(all, running.json(&["topics", "list"]).await);
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["binance.spot.gap", TOPIC]);
    assert_eq!(all[1]["partitions"], PARTITIONS);
    assert_eq!(all[1]["records"], ALL);
    assert!(all[1]["bytes"].as_u64().unwrap() > 20 * ALL as u64, "{all}");

    let one = running.json(&["topics", "describe", TOPIC]).await;
    let partitions = one["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), PARTITIONS);
    for partition in partitions {
        let at = |key: &str| partition[key].as_u64().unwrap();
        assert_eq!(at("end") - at("begin"), at("records"));
    }
    let table = running.text(&["topics"]).await;
    assert!(table.contains("15,863"), "{table}");
    assert!(table.contains("PARTITIONS"), "{table}");
    running
        .refused(
            &["topics", "describe", "nowhere"],
            6,
            "there is no topic nowhere",
        )
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_decodes_records_from_anywhere() {
    let exchange = exchange(Speed::Unlimited, |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    running.until_all_are_kept().await;

    let all = running.tail(&["--from", "beginning"]).await;
    assert_eq!(all.len(), ALL);
    let mut ids: Vec<(String, i64)> = all
        .iter()
        .map(|it| {
            let value = &it["value"];
            (
                value["symbol"].as_str().unwrap().to_owned(),
                value["trade_id"].as_i64().unwrap(),
            )
        })
        .collect();
    ids.sort_unstable();
    let mut sent: Vec<(String, i64)> = exchange
        .trades()
        .iter()
        .map(|it| (it.symbol.to_string(), it.trade_id))
        .collect();
    sent.sort_unstable();
    assert_eq!(ids, sent, "each trade once, decoded");
    for record in &all {
        for key in ["partition", "offset", "timestamp", "key", "headers"] {
            assert!(record.get(key).is_some(), "no {key}: {record}");
        }
    }
    // In order within each partition.
    for partition in 0..PARTITIONS {
        let own = all.iter().filter(|it| it["partition"] == partition);
        let offsets: Vec<i64> = own.map(|it| it["offset"].as_i64().unwrap()).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b));
    }

    let last = running.tail(&["--from", "-2"]).await;
    for record in &last {
        let partition = &record["partition"];
        let end = all
            .iter()
            .rfind(|it| it["partition"] == *partition)
            .unwrap();
        let behind = end["offset"].as_i64().unwrap() - record["offset"].as_i64().unwrap();
        assert!((0..2).contains(&behind), "{record}");
    }
    let three = running.tail(&["--from", "beginning", "-n", "3"]).await;
    assert_eq!(three.len(), 3);
    let partition = &last[0]["partition"];
    let chosen = partition.to_string();
    let from = running.tail(&["--partition", &chosen, "--from", "1"]).await;
    assert_eq!(from[0]["offset"], 1);
    assert!(from.iter().all(|it| it["partition"] == *partition));
    assert_eq!(running.tail(&["--from", "end"]).await.len(), 0);
    assert_eq!(
        running
            .tail(&["--from", "2000-01-01T00:00:00Z"])
            .await
            .len(),
        ALL
    );
    assert_eq!(running.tail(&["--from", "1h"]).await.len(), ALL);
    assert_eq!(running.tail(&["--from", "0s"]).await.len(), 0);
    let middle = all[ALL / 2]["timestamp"].as_i64().unwrap();
    let time = jiff::Timestamp::from_millisecond(middle)
        .unwrap()
        .to_string();
    let since = running.tail(&["--from", &time]).await;
    let expected = all
        .iter()
        .filter(|it| it["timestamp"].as_i64().unwrap() >= middle);
    assert_eq!(since.len(), expected.count());

    running
        .refused(&["tail", "nowhere"], 6, "there is no topic nowhere")
        .await;
    running
        .refused(&["tail", TOPIC, "--partition", "9"], 6, "9")
        .await;
    running
        .refused(&["tail", TOPIC, "--from", "sometime"], 2, "sometime")
        .await;
    running.end().await;
}

/// Readers that follow, one of which takes nothing, while the pipeline does what it does without
/// them; each that is gone frees its place.
#[tokio::test(flavor = "multi_thread")]
async fn followers_see_what_is_written_and_hold_up_nothing() {
    let exchange = exchange(Speed::PerSecond(3000.0), |_| {}).await;
    let site = Site::new(&exchange).await;
    let running = Running::of(&site, &[]).await;
    let args = running.args(&["tail", TOPIC, "--from", "beginning", "--follow"]);
    let follow = || {
        let mut command = Command::new(&Artifacts::get().jackfield);
        command.args(&args).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    // The topic is made when the pipeline has begun.
    exchange.reached(100).await;
    // These take nothing.
    let idle: Vec<_> = (0..3).map(|_| follow().spawn().unwrap()).collect();
    let mut reading = follow().spawn().unwrap();
    let mut lines = BufReader::new(reading.stdout.take().unwrap()).lines();
    for _ in 0..5000 {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .expect("more is written");
        let line = line.unwrap().expect("it follows");
        let record: Value = serde_json::from_str(&line).unwrap();
        assert!(record["value"]["trade_id"].is_i64(), "{record}");
    }
    drop(reading);
    drop(idle);
    // Places are free again: more than there are, one after the other.
    for _ in 0..9 {
        let begin = Instant::now();
        loop {
            let asked = running
                .ask(&["tail", TOPIC, "--from", "-1", "-n", "1"])
                .await;
            if asked.status.success() {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{asked:?}");
            sleep(LOOK_EVERY).await;
        }
    }
    exchange.finished().await;
    running.end().await;
    run_until_idle(&site, "4s").await;
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
