//! Each fault does what it says, and a client that reconnects and asks REST gets everything.

use std::collections::BTreeSet;
use std::time::Duration;

use jackfield_exchange::{Fault, Recording, Running, Scheduled, Speed, storm};
use tokio::time::{Instant, timeout};

use crate::support::{self, BOTH, Client, Ended, exchange, get, http, ids};

const AT: u64 = 1000;

async fn with(faults: Vec<Scheduled>) -> Running {
    exchange(|o| {
        o.speed = Speed::PerSecond(4000.0);
        o.recording = Recording::spot().unwrap().first(3000).into();
        o.faults = faults;
    })
    .await
}

async fn until_end(running: &Running) -> (usize, Ended) {
    let (texts, ended) = Client::open(running, BOTH).await.rest().await;
    (texts.len(), ended)
}

#[tokio::test]
async fn drops_and_closings() {
    let running = with(vec![Fault::Drop.at(AT)]).await;
    let (count, ended) = until_end(&running).await;
    assert!(count <= 1000);
    assert_eq!(ended, Ended::Lost);
    assert_eq!(running.status().struck, ["drop@1000"]);

    let running = with(vec![Fault::Close(1011).at(AT)]).await;
    let closed = Ended::Close(1011, String::new());
    assert_eq!(until_end(&running).await, (1000, closed));
}

#[tokio::test]
async fn a_shutdown_is_announced() {
    let running = with(vec![Fault::Shutdown { lead_ms: 100 }.at(AT)]).await;
    let (texts, ended) = Client::open(&running, BOTH).await.rest().await;
    let announced = texts
        .iter()
        .position(|t| t.contains("serverShutdown"))
        .unwrap();
    assert_eq!(announced, 1000);
    assert!(
        texts[announced]
            .starts_with(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#)
    );
    assert!(texts.len() > 1001, "trades go on until the end");
    assert!(matches!(ended, Ended::Close(1001, _)));
}

#[tokio::test]
async fn a_half_open_connection_is_silent_and_stays() {
    let running = with(vec![Fault::HalfOpen.at(AT)]).await;
    let mut client = Client::open(&running, BOTH).await;
    client.trades(1000).await;
    running.finished().await;
    client
        .send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#)
        .await;
    let silence = timeout(Duration::from_millis(300), client.message()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert_eq!(running.status().open, 1);
}

#[tokio::test]
async fn silence_of_one_symbol_leaves_the_other() {
    let symbol = Some("BTCUSDT".to_owned());
    let running = with(vec![
        Fault::Silence {
            symbol,
            for_ms: None,
        }
        .at(AT),
    ])
    .await;
    let mut client = Client::open(&running, BOTH).await;
    let all = ids(&running.trades());
    let expected: Vec<_> = (0..)
        .zip(&all)
        .filter(|(number, (symbol, _))| *number < AT || symbol == "ETHUSDT")
        .map(|(_, id)| id.clone())
        .collect();
    assert_eq!(client.trades(expected.len()).await, expected);
    running.finished().await;
    assert_eq!(running.status().frames, expected.len() as u64);
}

#[tokio::test]
async fn duplicates_skips_and_disorder() {
    let faults = vec![
        Fault::Duplicate(10).at(500),
        Fault::Skip(20).at(AT),
        Fault::Reorder(30).at(2000),
    ];
    let running = with(faults).await;
    let mut client = Client::open(&running, BOTH).await;
    let all = ids(&running.trades());
    let got = client.trades(all.len() + 10 - 20).await;
    assert_eq!(got[..500], all[..500]);
    assert_eq!(got[500..510], all[490..500]);
    assert_eq!(got[510..1010], all[500..1000]);
    assert_eq!(got[1010..1990], all[1020..2000]);
    assert_ne!(got[1990..2020], all[2000..2030]);
    let shuffled: BTreeSet<_> = got[1990..2020].iter().collect();
    assert_eq!(shuffled, all[2000..2030].iter().collect());
    assert_eq!(got[2020..], all[2030..]);
    assert_eq!(
        running.status().struck,
        ["duplicate:10@500", "skip:20@1000", "reorder:30@2000"]
    );
}

#[tokio::test]
async fn late_messages_come_whole_and_in_order() {
    let running = with(vec![Fault::Late(300).at(AT)]).await;
    let mut late = Client::open(&running, BOTH).await;
    late.trades(1000).await;
    let held = Instant::now();
    let mut early = Client::open(&running, BOTH).await;
    let newer = early.trades(1).await[0].clone();
    let rest = late.trades(2000).await;
    assert!(held.elapsed() >= Duration::from_millis(200));
    assert!(rest.contains(&newer), "the newer connection was ahead");
    assert_eq!(rest, ids(&running.trades())[1000..]);
}

#[tokio::test]
async fn new_connections_are_refused_for_a_while() {
    let running = with(vec![Fault::Drop.at(AT), Fault::Refuse(300).at(AT)]).await;
    until_end(&running).await;
    let begin = Instant::now();
    let mut tries = 0;
    while Client::try_open(&running, BOTH).await.is_err() {
        tries += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(tries > 2);
    assert!(begin.elapsed() >= Duration::from_millis(290));
}

#[tokio::test]
async fn requests_meet_limits_bans_errors_and_delays() {
    let running = exchange(|o| {
        o.faults = vec![
            Fault::RateLimited {
                requests: 1,
                retry_after_s: 3,
            }
            .at(0),
            Fault::ServerError {
                requests: 2,
                status: 502,
            }
            .at(0),
            Fault::Slow {
                requests: 1,
                ms: 200,
            }
            .at(0),
        ];
    })
    .await;
    let path = "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1";
    let begin = Instant::now();
    let (status, headers, body) = get(&running, path).await;
    assert!(begin.elapsed() >= Duration::from_millis(200));
    assert_eq!(status, 429);
    assert_eq!(headers["retry-after"], "3");
    assert_eq!(body["code"], -1003);
    for _ in 0..2 {
        assert_eq!(get(&running, path).await.0, 502);
    }
    assert_eq!(get(&running, path).await.0, 200);

    running.inject([Fault::Banned { retry_after_s: 1 }.now()]);
    let (status, headers, body) = get(&running, path).await;
    assert_eq!(status, 418);
    assert!(headers.contains_key("retry-after"));
    assert_eq!(body["code"], -1003);
    let banned = Instant::now();
    while get(&running, path).await.0 == 418 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(banned.elapsed() >= Duration::from_millis(800));
}

#[tokio::test]
async fn a_hole_is_nowhere() {
    let recording = Recording::spot().unwrap();
    let bitcoin = recording
        .trades()
        .iter()
        .filter(|t| *t.symbol == *"BTCUSDT");
    let from_id = bitcoin.clone().nth(50).unwrap().trade_id;
    let hole = Fault::Hole {
        symbol: "BTCUSDT".into(),
        from_id,
        to_id: from_id + 99,
    };
    let running = with(vec![hole.now()]).await;
    let expected = ids(&running.trades());
    assert_eq!(expected.len(), 2900);
    let mut client = Client::open(&running, BOTH).await;
    assert_eq!(client.trades(expected.len()).await, expected);
    running.finished().await;
    let path = format!("/api/v3/historicalTrades?symbol=BTCUSDT&fromId={from_id}&limit=1");
    let (_, _, body) = get(&running, &path).await;
    assert_eq!(body[0]["id"], from_id + 100);
}

#[tokio::test]
async fn the_control_endpoint_adds_faults() {
    let running = with(vec![]).await;
    let mut client = Client::open(&running, BOTH).await;
    client.trades(10).await;
    let url = format!("{}/control/faults", running.rest_url());
    let response = http()
        .post(&url)
        .body("close:1012@now")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(client.rest().await.1, Ended::Close(1012, String::new()));
    let response = http().post(&url).body("dorp").send().await.unwrap();
    assert_eq!(response.status(), 400);
    let status = get(&running, "/control/status").await.2;
    assert_eq!(status["struck"].as_array().unwrap().len(), 1);
}

/// A careful client under a storm: reconnects, and back-fills by REST at the end.
#[tokio::test]
async fn nothing_is_lost_that_rest_still_has() {
    let seed = 20_240_808;
    println!("seed {seed}");
    let running = with(storm(seed, 3000, 25)).await;
    let all: BTreeSet<_> = ids(&running.trades()).into_iter().collect();
    let mut got = BTreeSet::new();
    while running.status().position < 3000 {
        let Ok(mut client) = Client::try_open(&running, BOTH).await else {
            continue;
        };
        loop {
            match timeout(Duration::from_millis(500), client.text()).await {
                Ok(Ok(text)) => got.extend(support::trade(&text)),
                Ok(Err(_)) => break,
                Err(_) if running.status().position >= 3000 => break,
                Err(_) => {}
            }
        }
    }
    assert!(got.is_subset(&all));
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let mut from = 0;
        loop {
            let path = format!("/api/v3/historicalTrades?symbol={symbol}&fromId={from}&limit=1000");
            let (status, _, body) = get(&running, &path).await;
            if status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let Some(last) = body.as_array().unwrap().last() else {
                break;
            };
            from = last["id"].as_i64().unwrap() + 1;
            got.extend(
                body.as_array()
                    .unwrap()
                    .iter()
                    .map(|t| (symbol.to_owned(), t["id"].as_i64().unwrap())),
            );
        }
    }
    assert_eq!(got, all);
    assert!(
        running.status().struck.len() >= 20,
        "{:?}",
        running.status().struck
    );
}
