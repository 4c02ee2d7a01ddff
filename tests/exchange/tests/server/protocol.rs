//! The WebSocket protocol, as the exchange documents it.

use std::time::Duration;

use futures::SinkExt;
use jackfield_exchange::{Limits, Recording, Speed};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::support::{self, BOTH, Client, Ended, exchange, ids};

#[tokio::test]
async fn every_trade_arrives_as_recorded() {
    let running = exchange(|o| o.speed = Speed::Unlimited).await;
    let mut client = Client::open(&running, BOTH).await;
    let recording = Recording::spot().unwrap();
    for index in 0..recording.trades().len() {
        assert_eq!(client.text().await.unwrap(), recording.frame(index));
    }
    running.finished().await;
    assert_eq!(running.status().frames, 15_863);
}

#[tokio::test]
async fn control_messages_have_their_replies() {
    let running = exchange(|o| {
        o.speed = Speed::PerSecond(1000.0);
        o.hold = true;
    })
    .await;
    let mut client = Client::open(&running, "/ws").await;
    for (sent, reply) in [
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#,
            r#"{"result":null,"id":1}"#,
        ),
        (
            r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#,
            r#"{"result":["btcusdt@trade"],"id":2}"#,
        ),
        (
            r#"{"method":"GET_PROPERTY","params":["combined"],"id":3}"#,
            r#"{"result":false,"id":3}"#,
        ),
        (
            "nonsense",
            r#"{"code":3,"msg":"Invalid JSON: expected ident at line 1 column 2"}"#,
        ),
    ] {
        client.send(sent).await;
        assert_eq!(client.text().await.unwrap(), reply);
    }
    running.start();
    let json = client.json().await;
    assert_eq!(json["e"], "trade", "the raw form has no envelope");
    client
        .send(r#"{"method":"SET_PROPERTY","params":["combined",true],"id":4}"#)
        .await;
    loop {
        let json = client.json().await;
        if json["stream"] == "btcusdt@trade" {
            break;
        }
    }
}

#[tokio::test]
async fn unsubscribing_ends_a_stream() {
    let running = exchange(|o| {
        o.speed = Speed::PerSecond(2000.0);
        o.recording = Recording::spot().unwrap().first(2000).into();
    })
    .await;
    let mut client = Client::open(&running, BOTH).await;
    client.trades(100).await;
    client
        .send(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade"],"id":1}"#)
        .await;
    while client.text().await.unwrap() != r#"{"result":null,"id":1}"# {}
    running.finished().await;
    client
        .send(r#"{"method":"LIST_SUBSCRIPTIONS","id":9}"#)
        .await;
    let mut seen = 0;
    loop {
        let text = client.text().await.unwrap();
        match support::trade(&text) {
            Some((symbol, _)) => assert_eq!(symbol, "ETHUSDT"),
            None => break assert_eq!(text, r#"{"result":["ethusdt@trade"],"id":9}"#),
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[tokio::test]
async fn microseconds_are_given_when_asked_for() {
    let running = exchange(|o| o.speed = Speed::Unlimited).await;
    let mut client = Client::open(&running, "/ws/ethusdt@trade?timeUnit=MICROSECOND").await;
    let json = client.json().await;
    assert_eq!(json["T"], 1_723_161_255_611_000_i64);
    assert_eq!(json["E"], 1_723_161_255_612_000_i64);
}

#[tokio::test]
async fn pings_come_and_want_their_pong() {
    let limits = Limits {
        ping_every: Duration::from_millis(30),
        pong_within: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = exchange(|o| {
        o.limits = limits.clone();
        o.limits.messages_per_second = 1000;
    })
    .await;
    // Answered by the library: the connection outlives several periods.
    let mut good = Client::open(&running, "/ws").await;
    for _ in 0..15 {
        let message = good.message().await.unwrap();
        assert!(matches!(message, Message::Ping(payload) if !payload.is_empty()));
    }
    // Pongs that nobody asked for don't count: written without reading the pings.
    let mut bad = Client::open(&running, "/ws").await;
    let ended = tokio::time::timeout(support::PATIENCE, async {
        loop {
            let pong = Message::Pong(Bytes::from_static(b"unsolicited"));
            if bad.socket.send(pong).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    ended.await.unwrap();
}

#[tokio::test]
async fn six_messages_in_a_second_are_too_many() {
    let running = exchange(|_| {}).await;
    let mut client = Client::open(&running, "/ws").await;
    for id in 0..6 {
        client
            .send(&format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#))
            .await;
    }
    let (texts, ended) = client.rest().await;
    assert_eq!(texts.len(), 5);
    assert_eq!(ended, Ended::Close(1008, "Too many requests".into()));
}

#[tokio::test]
async fn more_than_1024_streams_are_too_many() {
    let running = exchange(|_| {}).await;
    let mut client = Client::open(&running, "/ws").await;
    let params: Vec<String> = (0..1025).map(|n| format!("s{n}@trade")).collect();
    let text = serde_json::json!({ "method": "SUBSCRIBE", "params": params, "id": 1 });
    client.send(&text.to_string()).await;
    let (_, ended) = client.rest().await;
    assert!(matches!(ended, Ended::Close(1008, _)), "{ended:?}");
}

#[tokio::test]
async fn a_connection_has_its_age_and_an_address_its_attempts() {
    let running = exchange(|o| {
        o.limits.connection_age = Duration::from_millis(100);
        o.limits.connections_per_window = 3;
    })
    .await;
    for _ in 0..3 {
        let (_, ended) = Client::open(&running, "/ws").await.rest().await;
        assert!(matches!(ended, Ended::Close(1001, _)), "{ended:?}");
    }
    assert!(Client::try_open(&running, "/ws").await.is_err());
    assert!(Client::try_open(&running, "/elsewhere").await.is_err());
    assert_eq!(running.status().refused, 2);
}

#[tokio::test]
async fn laps_go_on_where_the_one_before_ended() {
    let running = exchange(|o| {
        o.speed = Speed::Unlimited;
        o.recording = Recording::spot().unwrap().first(3000).into();
        o.laps = 3;
    })
    .await;
    let mut client = Client::open(&running, BOTH).await;
    assert_eq!(client.trades(9000).await, ids(&running.trades()));
}

#[tokio::test]
async fn a_late_subscriber_sees_what_happens_from_then_on() {
    let running = exchange(|o| o.speed = Speed::PerSecond(5000.0)).await;
    let mut first = Client::open(&running, BOTH).await;
    running.reached(1000).await;
    let mut second = Client::open(&running, BOTH).await;
    let begin = second.trades(1).await[0].clone();
    let all = ids(&running.trades());
    let at = all.iter().position(|id| *id == begin).unwrap();
    assert!(at >= 1000, "{at}");
    assert_eq!(first.trades(2000).await, all[..2000]);
}
