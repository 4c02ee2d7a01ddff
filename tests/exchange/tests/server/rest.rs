//! The public REST endpoints.

use jackfield_exchange::{Recording, Running, Speed};
use serde_json::json;

use crate::support::{BOTH, Client, exchange, get, http};

async fn over() -> Running {
    let running = exchange(|o| o.speed = Speed::Unlimited).await;
    let mut client = Client::open(&running, BOTH).await;
    client.trades(15_863).await;
    running
}

#[tokio::test]
async fn historical_trades_page_through_everything() {
    let running = over().await;
    let recording = Recording::spot().unwrap();
    for symbol in ["BTCUSDT", "ETHUSDT"] {
        let mut expected = recording.trades().iter().filter(|t| *t.symbol == *symbol);
        let mut from_id = 0;
        let mut pages = 0;
        loop {
            let path =
                format!("/api/v3/historicalTrades?symbol={symbol}&fromId={from_id}&limit=5000");
            let (status, headers, body) = get(&running, &path).await;
            assert_eq!(status, 200);
            assert!(headers.contains_key("x-mbx-used-weight-1m"));
            let page = body.as_array().unwrap();
            assert!(page.len() <= 1000);
            let Some(last) = page.last() else { break };
            from_id = last["id"].as_i64().unwrap() + 1;
            pages += 1;
            for trade in page {
                let expected = expected.next().unwrap();
                assert_eq!(
                    *trade,
                    json!({
                        "id": expected.trade_id,
                        "price": expected.price.to_string(),
                        "qty": expected.quantity.to_string(),
                        "quoteQty": expected.price.times(expected.quantity).to_string(),
                        "time": expected.trade_time_ms,
                        "isBuyerMaker": expected.is_buyer_maker,
                        "isBestMatch": true,
                    })
                );
            }
        }
        assert!(expected.next().is_none());
        assert!(pages >= 7);
    }
}

#[tokio::test]
async fn rest_knows_what_has_happened_and_no_more() {
    let running = exchange(|o| {
        o.speed = Speed::PerSecond(500.0);
        o.hold = true;
    })
    .await;
    let path = "/api/v3/trades?symbol=BTCUSDT&limit=1000";
    assert_eq!(get(&running, path).await.2, json!([]));
    running.start();
    running.reached(200).await;
    let before = running.status().position;
    let (_, _, body) = get(&running, path).await;
    let after = running.status().position;
    let recording = Recording::spot().unwrap();
    let known = |position: u64| {
        let trades = recording.trades().iter().take(position as usize);
        trades.filter(|t| *t.symbol == *"BTCUSDT").count()
    };
    let count = body.as_array().unwrap().len();
    assert!((known(before)..=known(after)).contains(&count), "{count}");
    let (_, _, newest) = get(&running, "/api/v3/trades?symbol=BTCUSDT&limit=1").await;
    assert_eq!(newest.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn aggregates_cover_the_same_trades() {
    let running = over().await;
    let mut from_id = 1;
    let mut next_trade = 3_735_683_259_i64;
    loop {
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={from_id}&limit=1000");
        let (_, _, body) = get(&running, &path).await;
        let page = body.as_array().unwrap();
        let Some(last) = page.last() else { break };
        assert_eq!(page[0]["a"], from_id);
        from_id = last["a"].as_i64().unwrap() + 1;
        for aggregate in page {
            assert_eq!(aggregate["f"], next_trade);
            next_trade = aggregate["l"].as_i64().unwrap() + 1;
        }
    }
    assert_eq!(next_trade, 3_735_693_016);
}

#[tokio::test]
async fn the_rest_of_the_endpoints() {
    let running = exchange(|_| {}).await;
    assert_eq!(get(&running, "/api/v3/ping").await.2, json!({}));
    let (_, _, time) = get(&running, "/api/v3/time").await;
    assert_eq!(time["serverTime"], 1_723_161_255_343_i64);
    let (_, _, info) = get(&running, "/api/v3/exchangeInfo").await;
    assert_eq!(info["symbols"].as_array().unwrap().len(), 2);
    let (_, _, info) = get(&running, "/api/v3/exchangeInfo?symbol=ETHUSDT").await;
    assert_eq!(info["symbols"][0]["baseAsset"], "ETH");
    assert_eq!(info["symbols"][0]["quoteAsset"], "USDT");
    let (_, _, depth) = get(&running, "/api/v3/depth?symbol=BTCUSDT&limit=1000").await;
    assert_eq!(depth["lastUpdateId"], 50_093_239_218_i64);
    assert_eq!(depth["bids"].as_array().unwrap().len(), 1000);
    assert_eq!(depth["bids"][0], json!(["61837.63000000", "3.78826000"]));
}

#[tokio::test]
async fn bad_requests_have_their_codes() {
    let running = exchange(|_| {}).await;
    for (path, code) in [
        ("trades?symbol=BTCEUR", -1121),
        ("exchangeInfo?symbol=BTCEUR", -1121),
        ("trades", -1102),
        ("depth?symbol=", -1102),
        ("historicalTrades?symbol=BTCUSDT&fromId=x", -1100),
        ("aggTrades?symbol=BTCUSDT&limit=-5", -1100),
    ] {
        let (status, _, body) = get(&running, &format!("/api/v3/{path}")).await;
        assert_eq!((status, body["code"].as_i64()), (400, Some(code)), "{path}");
        assert!(body["msg"].is_string());
    }
}

#[tokio::test]
async fn weight_is_counted_and_refused_beyond_the_limit() {
    let running = exchange(|o| o.limits.weight_per_minute = 60).await;
    let path = "/api/v3/historicalTrades?symbol=BTCUSDT";
    for used in ["25", "50"] {
        let (status, headers, _) = get(&running, path).await;
        assert_eq!(status, 200);
        assert_eq!(headers["x-mbx-used-weight-1m"], used);
    }
    for _ in 0..10 {
        let (status, headers, body) = get(&running, path).await;
        assert_eq!((status, &body["code"]), (429, &json!(-1003)));
        assert!(headers.contains_key("retry-after"));
    }
    assert_eq!(get(&running, path).await.0, 418);
    let url = format!("{}/api/v3/time", running.rest_url());
    let time = http().get(url).send().await.unwrap();
    assert_eq!(time.status(), 418, "a ban holds for every endpoint");
}
