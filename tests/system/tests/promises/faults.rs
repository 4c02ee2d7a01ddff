//! Each fault of the exchange by itself: nothing lost, nothing doubled; what is nowhere to be had
//! is written down as a gap.

use std::time::Duration;

use futures::future::join_all;
use jackfield_exchange::{Fault, Recording, Scheduled, Speed, Trade, storm};
use jackfield_system_tests::{PATIENCE, Site, gaps_sink, read_pyiceberg};
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::{assert_landed, exchange, run_until_idle};

/// The whole recording goes by in two seconds.
const TRADES_PER_SECOND: f64 = 8000.0;

const AT: u64 = 5000;

struct Case {
    name: &'static str,
    faults: Vec<Scheduled>,
    /// Longer than the source needs to notice, wait and recover.
    idle: &'static str,
    settings: Value,
}

fn case(name: &'static str, faults: impl IntoIterator<Item = Fault>) -> Case {
    Case {
        name,
        faults: faults.into_iter().map(|fault| fault.at(AT)).collect(),
        idle: "4s",
        settings: json!({}),
    }
}

fn cases() -> Vec<Case> {
    let btc = || Some("BTCUSDT".to_owned());
    vec![
        case("none", []),
        case("drop", [Fault::Drop]),
        case("close 1001", [Fault::Close(1001)]),
        case("close 1008", [Fault::Close(1008)]),
        case("close 1011", [Fault::Close(1011)]),
        case("half-open", [Fault::HalfOpen]),
        case(
            "silence of all",
            [Fault::Silence {
                symbol: None,
                for_ms: None,
            }],
        ),
        case(
            "silence of one",
            [Fault::Silence {
                symbol: btc(),
                for_ms: None,
            }],
        ),
        case(
            "short silence of one",
            [Fault::Silence {
                symbol: btc(),
                for_ms: Some(300),
            }],
        ),
        case("shutdown", [Fault::Shutdown { lead_ms: 300 }]),
        case("shutdown at once", [Fault::Shutdown { lead_ms: 0 }]),
        case("duplicates", [Fault::Duplicate(500)]),
        case("skip", [Fault::Skip(700)]),
        case("skip of more than a page", [Fault::Skip(4000)]),
        case("disorder", [Fault::Reorder(40)]),
        case("late", [Fault::Late(600)]),
        case(
            "drop, reconnect refused",
            [Fault::Drop, Fault::Refuse(1500)],
        ),
        case(
            "skip, 429",
            [
                Fault::Skip(100),
                Fault::RateLimited {
                    requests: 2,
                    retry_after_s: 1,
                },
            ],
        ),
        Case {
            idle: "7s",
            ..case(
                "drop, 418",
                [Fault::Drop, Fault::Banned { retry_after_s: 3 }],
            )
        },
        case(
            "skip, 5xx",
            [
                Fault::Skip(100),
                Fault::ServerError {
                    requests: 3,
                    status: 503,
                },
            ],
        ),
        case(
            "drop, slow REST",
            [
                Fault::Drop,
                Fault::Slow {
                    requests: 2,
                    ms: 700,
                },
            ],
        ),
        Case {
            settings: json!({ "time-unit": "microsecond" }),
            ..case("drop, microseconds", [Fault::Drop])
        },
        Case {
            faults: storm(41, 15_863, 12),
            ..case("storm", [])
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_or_doubles_a_trade() {
    let runs = cases().into_iter().map(|case| {
        let name = case.name;
        let run =
            tokio::spawn(async move { tokio::time::timeout(PATIENCE * 4, survive(case)).await });
        async move { (name, run.await) }
    });
    let failed: Vec<&str> = join_all(runs)
        .await
        .into_iter()
        .filter(|(_, run)| !matches!(run, Ok(Ok(()))))
        .map(|(name, _)| name)
        .collect();
    assert!(
        failed.is_empty(),
        "failed, each with its reason above: {failed:?}"
    );
}

async fn survive(case: Case) {
    let Case {
        name,
        faults,
        idle,
        settings,
    } = case;
    let expected = faults.len();
    println!(
        "{name}: {}",
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    );
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| {
        o.seed = 41;
        o.faults = faults;
    })
    .await;
    let mut site = Site::new(&exchange).await;
    for (key, value) in settings.as_object().unwrap() {
        site.set(
            &format!("/pipelines/trades/source/settings/{key}"),
            value.clone(),
        );
    }
    run_until_idle(&site, idle).await;
    let struck = exchange.status().struck;
    // In the storm a request fault may find no request.
    let all_struck = struck.len() == expected || name == "storm" && struck.len() * 2 >= expected;
    assert!(all_struck, "{name}: only {struck:?} struck");
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
    println!(
        "{name}: {} connections, {} requests",
        exchange.status().connections,
        exchange.status().requests
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nowhere_to_be_had_is_a_gap() {
    let recording = Recording::spot().unwrap();
    let bitcoin: Vec<&Trade> = recording
        .trades()
        .iter()
        .filter(|t| *t.symbol == *"BTCUSDT")
        .collect();
    let (from_id, to_id) = (bitcoin[3000].trade_id, bitcoin[3249].trade_id);
    let hole = Fault::Hole {
        symbol: "BTCUSDT".into(),
        from_id,
        to_id,
    };
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| {
        o.faults = vec![hole.now()]
    })
    .await;
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/sinks/gaps", gaps_sink());
    run_until_idle(&site, "4s").await;
    let data = site.path().join("data");
    let remaining = exchange.trades();
    assert_eq!(remaining.len(), recording.trades().len() - 250);
    assert_landed(&data, &remaining).await;

    let gaps = read_pyiceberg(&data, "market.gaps").await;
    let mut covered = Vec::new();
    for gap in &gaps.rows {
        assert_eq!(gap["symbol"], "BTCUSDT");
        assert!(
            gap["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty())
        );
        assert!(gap["detected_at"].as_i64().unwrap() > 0);
        covered.extend(gap["from_id"].as_i64().unwrap()..=gap["to_id"].as_i64().unwrap());
    }
    covered.sort_unstable();
    assert_eq!(
        covered,
        (from_id..=to_id).collect::<Vec<i64>>(),
        "{:?}",
        gaps.rows
    );
}

/// Without `start-at` a source begins with what it hears first, and from then on misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_start_the_first_trade_heard_is_the_first() {
    const TRADES_PER_SECOND: f64 = 2000.0;
    const TAKEN: u64 = 5000;
    // However long the source takes to begin, it begins amid the feed.
    const LAPS: u32 = 20;
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |o| {
        o.hold = true;
        o.laps = LAPS;
    })
    .await;
    let lasts = exchange.status().total as f64 / TRADES_PER_SECOND;
    assert!(lasts > PATIENCE.as_secs_f64(), "{lasts} s");
    exchange.start();
    exchange.reached(1000).await;
    let mut site = Site::new(&exchange).await;
    site.set("/pipelines/trades/source/settings/start-at", Value::Null);
    let mut admin = Admin::run(&site, &["--grace", "60s"]).await;
    let taken = |records: u64| move |now: &Value| now["records"].as_u64() >= Some(records);
    let (source, sink) = ("/status/trades-source", "/status/trades-lake");
    admin.until("it hears", source, taken(1)).await;
    exchange.inject([Fault::Drop.now()]);
    admin.until("it goes on", sink, taken(TAKEN)).await;
    assert_eq!(exchange.status().struck.len(), 1);
    admin.jackfield.terminate().await;
    assert_eq!(admin.jackfield.wait().await, 0);
    let data = site.path().join("data");
    let table = read_pyiceberg(&data, "market.trades").await;
    // Of each symbol all, from the first that was heard to the last that was taken.
    let mut sent = exchange.trades();
    let very_first = sent[0].clone();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let rows = table.rows.iter().filter(|row| row["symbol"] == symbol);
        let ids: Vec<i64> = rows.map(|row| row["trade_id"].as_i64().unwrap()).collect();
        let (first, last) = (ids.iter().min().unwrap(), ids.iter().max().unwrap());
        sent.retain(|it| *it.symbol != *symbol || (first..=last).contains(&&it.trade_id));
    }
    assert_ne!(sent[0], very_first, "it began amid the feed");
    assert!(sent.len() as u64 >= TAKEN, "{}", sent.len());
    assert_landed(&data, &sent).await;
}

/// While there is no connection, and while the exchange wants no requests, nothing arrives, and yet
/// there is more to come: a run that ends when it is idle must not end then.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_rest_is_not_idle() {
    let exchange = exchange(Speed::PerSecond(40_000.0), |o| {
        let wait = Fault::RateLimited {
            requests: 1,
            retry_after_s: 6,
        };
        // Refused until the replay has gone by: what is left is to be had by REST only.
        o.faults = vec![
            Fault::Drop.at(9000),
            Fault::Refuse(1500).at(9000),
            wait.at(9000),
        ];
    })
    .await;
    let site = Site::new(&exchange).await;
    run_until_idle(&site, "1s").await;
    assert_eq!(exchange.status().struck.len(), 3);
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}

/// A ban outlasts a run: the next one goes on where the log stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_during_a_ban_waits_it_out() {
    let exchange = exchange(Speed::PerSecond(TRADES_PER_SECOND), |_| {}).await;
    let site = Site::new(&exchange).await;
    let mut jackfield = jackfield_system_tests::Jackfield::run(&site, &[]);
    exchange.reached(AT).await;
    jackfield.kill().await;
    exchange.inject([Fault::Banned { retry_after_s: 4 }.now()]);
    exchange.finished().await;
    let begin = tokio::time::Instant::now();
    run_until_idle(&site, "8s").await;
    assert!(begin.elapsed() > Duration::from_secs(4));
    assert_landed(&site.path().join("data"), &exchange.trades()).await;
}
