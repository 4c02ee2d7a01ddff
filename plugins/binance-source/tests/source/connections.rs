//! Connections come and go; nothing is lost.

use std::time::Duration;

use jackfield_sdk::Failure;
use jackfield_sdk::batch::event::RequestError;
use jackfield_sdk::source::testing::Bench;
use jackfield_sdk::source::{ConnectionState, HttpError, Imports, WebSocketError};

use crate::common::{RestFault, Run, from_the_beginning, settings, tape};

const BOTH: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

fn run(trades: usize, more: &str) -> Run {
    let tape = tape(trades);
    let more = format!("{}{more}", from_the_beginning(&tape));
    Run::new(tape, &settings(&BOTH, &more))
}

fn open_connections(run: &Run) -> Vec<u64> {
    let all = run.bench.host.connections();
    all.iter()
        .filter(|it| it.state != ConnectionState::Closed)
        .map(|it| it.id)
        .collect()
}

fn run_until_landed(run: &mut Run, trades: usize) {
    run.until("some landed", |run| {
        run.bench.landed("trade").len() >= trades
    });
}

#[test]
fn streams_are_subscribed_and_audited() {
    let mut run = run(100, "");
    run.until_all_landed();
    let connections = run.bench.host.connections();
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0].url, "wss://ws.test/stream");
    let sent: Vec<serde_json::Value> = connections[0]
        .sent
        .iter()
        .map(|(_, text)| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(sent[0]["method"], "SUBSCRIBE");
    assert_eq!(
        sent[0]["params"],
        serde_json::json!(["btcusdt@trade", "ethusdt@trade"])
    );
    assert_eq!(sent[1]["method"], "LIST_SUBSCRIPTIONS");
    assert!(sent[0]["id"].is_i64() && sent[0]["id"] != sent[1]["id"]);
}

#[test]
fn a_stream_that_the_exchange_forgot_is_subscribed_again() {
    let mut run = run(300, "");
    run.exchange.deaf_to.insert("ethusdt@trade".to_owned());
    run.until("the audit found it", |run| {
        run.bench
            .host
            .connections()
            .iter()
            .any(|it| it.sent.len() >= 3)
    });
    run.exchange.deaf_to.clear();
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert_eq!(run.bench.host.connections().len(), 1);
}

#[test]
fn a_thousand_symbols_share_connections_within_the_limits() {
    let names: Vec<String> = (0..1100).map(|i| format!("S{i}USDT")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut run = Run::new(
        tape(1),
        &settings(&names, r#", "streams-per-connection": 1024"#),
    );
    // The tape has none of these symbols, and that would be told.
    for _ in 0..400 {
        run.exchange
            .rest_faults
            .push_back(RestFault::Status(200, vec![], "[]"));
    }
    run.until("all is subscribed", |run| {
        run.exchange
            .wires
            .values()
            .map(|it| it.subscribed.len())
            .sum::<usize>()
            == 1100
    });
    let connections = run.bench.host.connections();
    assert_eq!(connections.len(), 2);
    for it in &connections {
        let at: Vec<Duration> = it.sent.iter().map(|(at, _)| *at).collect();
        assert!(
            at.windows(5)
                .all(|five| five[4] - five[0] >= Duration::from_secs(1)),
            "{at:?}"
        );
        assert!(it.sent.iter().all(|(_, text)| text.len() < 16 * 1024));
    }
    // Requests keep to the budget: 3000 a minute, 25 each.
    run.run_for(60_000);
    let at: Vec<Duration> = run
        .bench
        .host
        .requests()
        .iter()
        .map(|it| it.started_at)
        .collect();
    assert!(at.len() >= 120);
    assert!(
        at.windows(121)
            .all(|some| some[120] - some[0] >= Duration::from_secs(60))
    );
}

#[test]
fn a_connection_that_drops_is_opened_again_and_caught_up() {
    let mut run = run(600, "");
    for (at, code) in [(100, 1006), (200, 1008), (300, 0)] {
        run_until_landed(&mut run, at);
        let wire = run.exchange.live_wires()[0];
        run.exchange.drop_wire(&run.bench.host.clone(), wire, code);
    }
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert_eq!(run.bench.host.connections().len(), 4);
    assert_eq!(open_connections(&run).len(), 1);
}

#[test]
fn it_never_gives_up_and_never_storms() {
    let mut run = run(200, "");
    run_until_landed(&mut run, 50);
    run.exchange.refuse = true;
    let wire = run.exchange.live_wires()[0];
    run.exchange.drop_wire(&run.bench.host.clone(), wire, 1006);
    run.exchange.frozen = true;
    run.run_for_hours(3);
    let opened: Vec<Duration> = run
        .bench
        .host
        .connections()
        .iter()
        .map(|it| it.opened_at)
        .collect();
    assert!(
        opened.len() > 300,
        "{} attempts in three hours",
        opened.len()
    );
    assert!(
        opened
            .windows(201)
            .all(|some| some[200] - some[0] >= Duration::from_secs(300))
    );
    let waits: Vec<u128> = opened
        .windows(2)
        .skip(20)
        .map(|two| (two[1] - two[0]).as_millis())
        .collect();
    assert!(
        waits.iter().all(|wait| (14_000..33_000).contains(wait)),
        "{waits:?}"
    );
    assert!(waits.iter().any(|wait| *wait != waits[0]), "jittered");
    run.exchange.refuse = false;
    run.exchange.frozen = false;
    run.until_all_landed();
    run.assert_landed_is_the_tape();
}

#[test]
fn a_shutdown_that_is_announced_costs_nothing() {
    let mut run = run(600, "");
    run_until_landed(&mut run, 100);
    let old = run.exchange.live_wires()[0];
    let requests = run.bench.host.requests().len();
    run.exchange
        .shut_down(&run.bench.host.clone(), old, Duration::from_secs(10));
    run.until("the new one is there and the old one closed", |run| {
        open_connections(run) != [old] && open_connections(run).len() == 1
    });
    let connections = run.bench.host.connections();
    assert_eq!(connections.len(), 2);
    let closed_by_us = run
        .bench
        .host
        .lines()
        .iter()
        .all(|(_, line)| !line.contains("lost"));
    assert!(
        closed_by_us,
        "the old one was closed before the exchange did"
    );
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert!(run.exchange.never_live().is_empty(), "the two overlapped");
    // REST may tell of a trade some milliseconds before the connection does: not of more.
    let fetched = run.bench.counts().recovered;
    assert!(fetched <= 5, "{fetched} trades were taken from REST");
    assert!(run.bench.counts().duplicates > 0);
    assert_eq!(
        run.bench.host.requests().len() - requests,
        2,
        "one look at REST for each symbol"
    );
}

#[test]
fn a_connection_is_replaced_before_its_day_is_over() {
    let mut run = run(600, r#", "reconnect-after": "5s""#);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let connections = run.bench.host.connections();
    assert!(connections.len() >= 3, "{}", connections.len());
    for two in connections.windows(2) {
        let age = two[1].opened_at - two[0].opened_at;
        assert!(
            age >= Duration::from_millis(4700) && age <= Duration::from_millis(5200),
            "{age:?}"
        );
    }
    assert!(run.exchange.never_live().is_empty(), "they overlapped");
    let fetched = run.bench.counts().recovered;
    assert!(fetched <= 20, "{fetched} trades were taken from REST");
}

#[test]
fn a_half_open_connection_is_found_and_replaced() {
    let mut run = run(900, r#", "silence-after": "2s""#);
    run_until_landed(&mut run, 100);
    let old = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&old).unwrap().half_open = true;
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert!(!open_connections(&run).contains(&old));
}

#[test]
fn a_silent_stream_is_found_by_its_symbol_alone() {
    let mut run = run(2000, r#", "silence-after": "1s""#);
    run_until_landed(&mut run, 100);
    let old = run.exchange.live_wires()[0];
    run.exchange
        .wires
        .get_mut(&old)
        .unwrap()
        .silent
        .insert("ethusdt@trade".to_owned());
    run.until("replaced", |run| !open_connections(run).contains(&old));
    assert!(
        run.bench
            .host
            .lines()
            .iter()
            .any(|(_, line)| line.contains("ETHUSDT was silent"))
    );
    run.until_all_landed();
    run.assert_landed_is_the_tape();
}

#[test]
fn a_quiet_market_is_left_in_peace() {
    let mut run = run(100, "");
    run.until_all_landed();
    run.run_for_hours(6);
    assert_eq!(
        run.bench.host.connections().len(),
        1,
        "no connection is replaced for nothing"
    );
    let asked = run.bench.host.requests().len();
    assert!(asked < 120, "{asked} requests in six quiet hours");
    assert!(
        run.bench.host.connections()[0].sent.len() < 6 * 300,
        "a sign of life each 15 s"
    );
}

#[test]
fn limits_and_bans_are_kept_to() {
    for (status, seconds) in [(429, 7), (418, 120)] {
        let mut run = run(900, "");
        run_until_landed(&mut run, 50);
        let wire = run.exchange.live_wires()[0];
        run.exchange.wires.get_mut(&wire).unwrap().skip = 2;
        let header = ("retry-after", seconds.to_string());
        let before = run.bench.host.requests().len();
        run.exchange.rest_faults.push_back(RestFault::Status(
            status,
            vec![header],
            r#"{"code":-1003,"msg":"Too much"}"#,
        ));
        run.until("refused", |run| run.exchange.rest_faults.is_empty());
        let refused_at = run.bench.host.now();
        run.until_all_landed();
        run.assert_landed_is_the_tape();
        let requests = run.bench.host.requests();
        let next = requests[before..]
            .iter()
            .find(|it| it.started_at > refused_at)
            .unwrap();
        let wait = next.started_at - refused_at;
        assert!(
            wait >= Duration::from_secs(seconds) && wait <= Duration::from_secs(seconds + 2),
            "{wait:?}"
        );
        assert_eq!(
            run.bench.counts().recovered,
            if status == 429 {
                2
            } else {
                run.bench.counts().recovered
            }
        );
    }
}

#[test]
fn a_ban_is_kept_over_a_swap() {
    let mut run = run(900, "");
    run_until_landed(&mut run, 50);
    let wire = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&wire).unwrap().skip = 2;
    run.exchange.rest_faults.push_back(RestFault::Status(
        418,
        vec![("retry-after", "60".to_owned())],
        "",
    ));
    run.until("banned", |run| run.exchange.rest_faults.is_empty());
    let banned_at = run.bench.host.now();
    run.run_for(100);
    run.bench.swap().unwrap();
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let after = run
        .bench
        .host
        .requests()
        .iter()
        .map(|it| it.started_at)
        .find(|at| *at > banned_at)
        .unwrap();
    assert!(
        after - banned_at >= Duration::from_secs(60),
        "{:?}",
        after - banned_at
    );
}

#[test]
fn failing_requests_are_made_again_with_growing_waits() {
    let mut run = run(900, "");
    run_until_landed(&mut run, 50);
    let wire = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&wire).unwrap().skip = 2;
    let before = run.bench.host.requests().len();
    let faults = [
        RestFault::Status(503, vec![], "<html>"),
        RestFault::Failed(RequestError::Timeout),
        RestFault::Failed(RequestError::Unreachable),
        RestFault::Failed(RequestError::Interrupted),
        RestFault::Status(200, vec![], "no json"),
        RestFault::Failed(RequestError::TooLarge),
        RestFault::Lost,
    ];
    run.exchange.rest_faults.extend(faults);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let requests = run.bench.host.requests();
    assert!(
        requests[before..]
            .iter()
            .any(|it| it.request.url.contains("limit=500")),
        "asked for less"
    );
    assert_eq!(run.bench.counts().recovered, 2);
}

#[test]
fn certain_mistakes_stop_it_with_what_is_wrong() {
    let mut run = Run::new(tape(200), &settings(&["BTCUSDT", "NOSUCHUSDT"], ""));
    let failure = (0..100_000).find_map(|_| run.tick().err()).unwrap();
    assert_eq!(
        failure,
        Failure::Misconfigured("NOSUCHUSDT: the exchange has no symbol `NOSUCHUSDT`".to_owned())
    );
    run.bench.settle_all();
    assert!(run.landed().iter().all(|it| it.symbol == "BTCUSDT"));

    let mut denied =
        Bench::<binance_source::BinanceSource>::open(&settings(&["BTCUSDT"], "")).unwrap();
    denied.host.refuse_open(Some(WebSocketError::Denied(
        "wss://ws.test is not granted".to_owned(),
    )));
    let failure = denied.poll().unwrap_err();
    assert!(
        matches!(&failure, Failure::Misconfigured(why) if why.contains("not granted")),
        "{failure}"
    );

    let mut run = self::run(100, "");
    run.bench
        .host
        .refuse_request(Some(HttpError::Denied("no".to_owned())));
    let failure = (0..100_000).find_map(|_| run.tick().err()).unwrap();
    assert_eq!(failure, Failure::Misconfigured("no".to_owned()));
}

#[test]
fn a_host_at_its_limit_is_asked_again_later() {
    let mut run = run(100, "");
    run.bench
        .host
        .refuse_open(Some(WebSocketError::Limit("too many".to_owned())));
    run.run_for(5000);
    assert!(run.bench.host.connections().is_empty());
    run.bench.host.refuse_open(None);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
}

#[test]
fn a_new_instance_goes_on_with_the_connections_there_are() {
    let mut run = run(600, "");
    for (at, swap) in [(100, false), (200, true), (300, false)] {
        run_until_landed(&mut run, at);
        for _ in 0..20 {
            run.tick().unwrap();
        }
        if swap {
            run.bench.swap().unwrap();
        } else {
            run.bench.trap().unwrap();
        }
    }
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let connections = run.bench.host.connections();
    assert_eq!(connections.len(), 1);
    let subscribes = connections[0]
        .sent
        .iter()
        .filter(|(_, text)| text.contains("\"SUBSCRIBE\""))
        .count();
    assert_eq!(subscribes, 1, "not subscribed again");
    assert!(
        run.landed().iter().all(|it| it.event_time_us.is_some()),
        "all came live"
    );
}

#[test]
fn a_trap_at_any_moment_of_the_beginning_is_survived() {
    for ticks in 0..20 {
        let mut run = run(60, "");
        for _ in 0..ticks {
            run.tick().unwrap();
            if ticks % 2 == 0 {
                run.bench.settle_all();
            }
        }
        run.bench.trap().unwrap();
        run.until_all_landed();
        run.assert_landed_is_the_tape();
        let connections = run.bench.host.connections().len();
        assert_eq!(connections, 1, "after {ticks} ticks");
    }
}

#[test]
fn connections_of_other_settings_are_replaced_with_overlap() {
    let mut run = run(900, "");
    run_until_landed(&mut run, 100);
    run.bench.settle_all();
    let old = open_connections(&run);
    // Another connector version wrote these: one with other symbols, one without a note.
    let host = run.bench.host.clone();
    let stray = Imports::open(&host, "trade-7", "wss://ws.test/stream").unwrap();
    host.note(
        old[0],
        &jackfield_sdk::Saved {
            version: 1,
            bytes: br#"{"group":0,"streams":1,"confirmed":true}"#.to_vec(),
        },
    )
    .unwrap();
    run.bench.trap().unwrap();
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let open = open_connections(&run);
    assert_eq!(open.len(), 1);
    assert!(!open.contains(&stray) && !open.contains(&old[0]));
}
