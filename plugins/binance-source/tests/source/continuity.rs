//! Trades land once and in order, whatever a connection and REST make of them.

use std::time::Duration;

use jackfield_sdk::source::Imports;

use crate::common::{RestFault, Run, TICK, from_the_beginning, settings, tape};

const BOTH: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

fn run(trades: usize, more: &str) -> Run {
    let tape = tape(trades);
    let more = format!("{}{more}", from_the_beginning(&tape));
    Run::new(tape, &settings(&BOTH, &more))
}

#[test]
fn the_recording_lands_as_it_is() {
    let mut run = run(600, "");
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let counts = run.bench.counts();
    assert_eq!(
        (counts.records, counts.missing, counts.recovered),
        (600, 0, 0)
    );
    assert_eq!(
        counts.event_time_max_ms,
        run.exchange.tape().iter().map(|it| it.event_time_ms).max()
    );
    assert!(
        run.landed().iter().all(|it| it.event_time_us.is_some()),
        "all came live"
    );
    assert!(run.gaps().is_empty() && run.bench.rejected().is_empty());
    let last = run
        .exchange
        .tape()
        .iter()
        .rev()
        .find(|it| it.symbol == "BTCUSDT")
        .unwrap();
    let expected = format!(
        r#"{{"trade_id":{},"trade_time":{}}}"#,
        last.id,
        last.trade_time_ms * 1000
    );
    assert_eq!(run.bench.stored()[r#"{"symbol":"BTCUSDT"}"#], expected);
}

#[test]
fn a_clock_behind_the_exchanges_is_no_error() {
    let mut run = run(50, "");
    run.until_all_landed();
    // The fake host's clock starts at 23:54:00, the recording is of 23:54:15.
    assert!(
        run.landed()
            .iter()
            .all(|it| it.received_us < it.trade_time_us)
    );
}

#[test]
fn without_a_position_or_start_the_first_trade_seen_is_the_beginning() {
    let tape = tape(300);
    let mut run = Run::new(tape, &settings(&BOTH, ""));
    run.exchange.make(100);
    run.until("the rest landed", |run| {
        run.exchange.played() && run.bench.landed("trade").len() >= 200
    });
    let first = run.exchange.tape()[100..]
        .iter()
        .map(|it| it.id)
        .collect::<Vec<_>>();
    assert!(run.landed().iter().all(|it| first.contains(&it.trade_id)));
    assert_eq!(run.landed().len(), 200);
    assert!(run.gaps().is_empty());
}

#[test]
fn a_start_in_the_past_is_fetched_page_by_page() {
    let mut run = run(5000, "");
    run.exchange.make(4900);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert!(
        run.bench.counts().recovered >= 4900,
        "{:?}",
        run.bench.counts()
    );
    let asked: Vec<String> = run
        .bench
        .host
        .requests()
        .into_iter()
        .map(|it| it.request.url)
        .collect();
    assert!(
        asked
            .iter()
            .any(|url| url.contains("limit=1000") && url.contains("fromId=3735683259"))
    );
}

#[test]
fn what_comes_before_its_predecessor_waits_and_its_event_is_not_done() {
    let mut run = run(200, "");
    run.until("100 landed", |run| run.bench.landed("trade").len() >= 100);
    let wire = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&wire).unwrap().skip = 3;
    run.exchange.rest_faults.push_back(RestFault::Lost);
    run.run_for(1000);
    let (done, given) = (run.bench.done_through(), run.bench.host.given_through());
    assert!(
        done < given,
        "the events after the hole are not done: {done} of {given}"
    );
    // A new instance gets them again, and nothing doubles.
    run.bench.trap().unwrap();
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert_eq!(run.bench.counts().recovered, 3);
    assert_eq!(run.bench.done_through(), run.bench.host.given_through());
}

#[test]
fn another_order_needs_no_rest_and_doubles_are_dropped() {
    let mut run = run(300, "");
    run.until("100 landed", |run| run.bench.landed("trade").len() >= 100);
    let requests = run.bench.host.requests().len();
    let wire = run.exchange.live_wires()[0];
    let wire = run.exchange.wires.get_mut(&wire).unwrap();
    (wire.reverse, wire.duplicate) = (5, 20);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert_eq!(run.bench.counts().duplicates, 20);
    let asked = run.bench.host.requests().len() - requests;
    assert!(asked <= 1, "{asked} requests for what only came late");
}

#[test]
fn what_rest_does_not_have_becomes_a_gap_record() {
    let mut run = run(400, "");
    let ids: Vec<i64> = run
        .exchange
        .tape()
        .iter()
        .filter(|it| it.symbol == "ETHUSDT")
        .map(|it| it.id)
        .collect();
    let (from, to) = (ids[30], ids[34]);
    run.exchange.holes.push(("ETHUSDT".to_owned(), from, to));
    run.until("all but the hole landed", |run| {
        run.exchange.played() && run.bench.landed("trade").len() >= 395
    });
    run.assert_landed(|it| it.symbol != "ETHUSDT" || !(from..=to).contains(&it.id));
    let reason = "the exchange's REST interface has no such trades".to_owned();
    assert_eq!(run.gaps(), [("ETHUSDT".to_owned(), from, to, reason)]);
    assert_eq!(run.bench.counts().missing, 5);
}

#[test]
fn a_start_before_the_exchanges_history_is_a_gap_too() {
    let tape = tape(50);
    let first = tape.iter().find(|it| it.symbol == "BTCUSDT").unwrap().id;
    let more = format!(r#", "start-at": {{"BTCUSDT": {}}}"#, first - 10);
    let mut run = Run::new(tape, &settings(&["BTCUSDT"], &more));
    run.until("a gap", |run| !run.gaps().is_empty());
    assert_eq!((run.gaps()[0].1, run.gaps()[0].2), (first - 10, first - 1));
    // It survives a restart, and is not recorded again.
    run.kill();
    run.until("played", |run| run.exchange.played());
    run.run_for(2000);
    assert_eq!(run.gaps().len(), 1);
    run.assert_landed(|it| it.symbol == "BTCUSDT");
}

#[test]
fn after_any_stop_it_goes_on_from_what_is_stored() {
    let mut run = run(600, "");
    for at in [50, 200, 400] {
        run.until("some landed", |run| run.bench.landed("trade").len() >= at);
        // Polled, and never settled.
        for _ in 0..30 {
            run.tick().unwrap();
        }
        run.kill();
        // Time passes without a client.
        for _ in 0..100 {
            run.exchange.tick(&run.bench.host);
        }
    }
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert!(run.bench.counts().recovered > 0);
}

#[test]
fn a_symbol_that_trades_no_more_is_caught_up_after_a_restart() {
    let mut run = run(200, "");
    run.until("100 landed", |run| run.bench.landed("trade").len() >= 100);
    run.kill();
    // All other trades are made while nobody listens; no live trade will ever show the hole.
    run.exchange.make(200);
    run.until_all_landed();
    run.assert_landed_is_the_tape();
}

#[test]
fn frames_that_can_not_be_read_are_rejected_and_nothing_else_suffers() {
    let mut run = run(200, "");
    run.until("50 landed", |run| run.bench.landed("trade").len() >= 50);
    let wire = run.exchange.live_wires()[0];
    let host = run.bench.host.clone();
    let too_large = format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"{}","q":"1","T":1,"m":true}}}}"#,
        "9".repeat(40)
    );
    let long = "x".repeat(100_000);
    let bad: Vec<u64> = ["", "nonsense", "[]", "{\"a\":", &too_large, &long]
        .iter()
        .map(|it| host.text(wire, it))
        .collect();
    let binary = host.event(jackfield_sdk::batch::event::Kind::Binary, wire, &[0xff, 0]);
    let other = host.text(
        wire,
        r#"{"stream":"x@depth","data":{"e":"depthUpdate","new":[]}}"#,
    );
    // Of another slot's symbol, and a trade in a future shape.
    host.text(wire, r#"{"stream":"x@trade","data":{"e":"trade","E":1,"s":"XUSDT","t":1,"p":"1","q":"1","T":1,"m":true,"more":{}}}"#);
    let polled = run.bench.poll().unwrap().clone();
    assert!(
        polled
            .rejected
            .iter()
            .all(|it| it.excerpt.len() <= 1024 && !it.reason.is_empty())
    );
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let rejected: Vec<u64> = run
        .bench
        .rejected()
        .iter()
        .map(|(event, _)| *event)
        .collect();
    assert_eq!(rejected, [bad, vec![binary]].concat());
    assert!(!rejected.contains(&other));
    assert!(
        run.bench.rejected()[4].1.contains("more digits than 38"),
        "{:?}",
        run.bench.rejected()[4]
    );
}

#[test]
fn a_live_trade_that_can_not_be_read_is_had_from_rest() {
    let mut run = run(100, "");
    run.until("20 landed", |run| run.bench.landed("trade").len() >= 20);
    // The frame is spoilt on its way, the trade is fine.
    run.exchange.frozen = true;
    run.run_for(200);
    let next = run.bench.landed("trade").len();
    let spoilt = run.exchange.tape()[next]
        .frame
        .replace("\"p\":\"", "\"p\":\"x");
    let wire = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&wire).unwrap().skip = 1;
    run.bench.host.text(wire, &spoilt);
    run.exchange.frozen = false;
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert_eq!(run.bench.rejected().len(), 1);
    assert!(run.bench.counts().recovered >= 1);
}

#[test]
fn a_trade_that_nobody_knows_is_not_waited_for_for_ever() {
    let mut run = run(6000, "");
    run.until("20 landed", |run| run.bench.landed("trade").len() >= 20);
    let wire = run.exchange.live_wires()[0];
    // REST is ahead of the connection: each of its answers brings something, only never that one.
    run.exchange.wires.get_mut(&wire).unwrap().lag = Duration::from_millis(300);
    let far = run.exchange.tape()[0]
        .frame
        .replace("3735683259", "9000000000000000000");
    run.bench.host.text(wire, &far);
    let before = run.bench.host.requests().len();
    let disbelieved = |run: &mut Run| {
        let lines = run.bench.host.lines();
        lines.iter().any(|(_, line)| line.contains("not believed"))
    };
    run.until("it is not believed", disbelieved);
    assert!(!run.exchange.played(), "while the market goes on");
    let asked = run.bench.host.requests().len() - before;
    assert!(
        asked < 40,
        "{asked} requests: the budget is not spent on it"
    );
    run.until_all_landed();
    run.run_for(1000);
    run.assert_landed_is_the_tape();
    assert_eq!(
        run.bench.done_through(),
        run.bench.host.given_through(),
        "nothing is held back any more"
    );
    let before = run.bench.host.requests().len();
    run.run_for(3 * 60_000);
    assert!(
        run.bench.host.requests().len() - before < 20,
        "and it is not asked for for ever"
    );
}

#[test]
fn holding_is_bounded_in_events_and_in_time() {
    let mut run = run(6000, "");
    run.until("100 landed", |run| run.bench.landed("trade").len() >= 100);
    let wire = run.exchange.live_wires()[0];
    let held_from = run.bench.host.given_through();
    run.exchange.wires.get_mut(&wire).unwrap().skip = 1;
    for _ in 0..1000 {
        run.exchange
            .rest_faults
            .push_back(RestFault::Status(500, vec![], ""));
    }
    run.run_for(19_000);
    assert!(run.bench.done_through() <= held_from + 20, "held meanwhile");
    run.run_for(8000);
    let behind = run.bench.host.given_through() - run.bench.done_through();
    assert!(
        run.bench.done_through() > held_from + 50 && behind > 0,
        "let go, the oldest first"
    );
    run.exchange.rest_faults.clear();
    run.until_all_landed();
    run.assert_landed_is_the_tape();
}

/// A busy market: the exchange makes trades faster than the source is asked for them, so REST knows
/// more than has come live. To fetch that too would use up the budget that the next gap needs.
#[test]
fn rest_does_not_run_ahead_of_what_comes_live() {
    let mut tape = tape(8000);
    let first_ms = tape[0].at_ms;
    for (at, it) in tape.iter_mut().enumerate() {
        it.at_ms = first_ms + at as u64 / 500;
    }
    let mut run = Run::new(tape.clone(), &settings(&BOTH, &from_the_beginning(&tape)));
    run.exchange.frozen = true;
    run.until("the subscription is confirmed", |run| {
        !run.bench.host.open_requests().is_empty()
    });
    run.exchange.frozen = false;
    run.exchange.frames_per_tick = 100;
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    let landed = run.landed();
    let by_rest = landed.iter().filter(|it| it.event_time_us.is_none());
    let by_rest = by_rest.count();
    assert!(by_rest <= 2000, "at most a page a symbol: {by_rest}");
}

/// Whoever asks is told that more is known to be there than has come.
#[test]
fn what_waits_for_rest_is_known() {
    let mut run = run(600, "");
    run.until("100 landed", |run| run.bench.landed("trade").len() >= 100);
    run.run_for(500);
    assert_eq!(run.bench.poll().unwrap().behind, 0);
    for _ in 0..100 {
        let fault = RestFault::Status(500, vec![], "");
        run.exchange.rest_faults.push_back(fault);
    }
    let wire = run.exchange.live_wires()[0];
    run.exchange.wires.get_mut(&wire).unwrap().skip = 7;
    run.run_for(15_000);
    let skipped = run.bench.poll().unwrap().behind;
    assert_eq!(skipped, 7);
    let wire = run.exchange.live_wires()[0];
    run.exchange.drop_wire(&run.bench.host, wire, 1006);
    run.run_for(8000);
    assert!(run.bench.poll().unwrap().behind >= 7);
    run.exchange.rest_faults.clear();
    run.until_all_landed();
    run.run_for(40_000);
    assert_eq!(run.bench.poll().unwrap().behind, 0);
    run.assert_landed_is_the_tape();
}

#[test]
fn one_poll_never_gives_more_than_its_limits() {
    let mut run = run(3000, "");
    run.exchange.make(3000);
    run.bench.limits.batch_records_max = 7;
    run.bench.limits.batch_bytes_max = 600;
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    run.bench.limits.batch_bytes_max = 40;
    let mut run2 = Run::new(tape(10), &settings(&BOTH, &from_the_beginning(&tape(10))));
    run2.bench.limits.batch_bytes_max = 40;
    let failure = (0..1000).find_map(|_| run2.tick().err()).unwrap();
    assert!(
        failure.to_string().contains("goes into no batch"),
        "{failure}"
    );
}

#[test]
fn the_unit_of_time_is_asked_for_and_kept() {
    let mut tape = tape(100);
    for it in &mut tape {
        for ms in [it.trade_time_ms, it.event_time_ms] {
            it.frame = it.frame.replace(&format!(":{ms},"), &format!(":{ms}000,"));
        }
    }
    let more = format!(
        r#"{}, "time-unit": "microsecond""#,
        from_the_beginning(&tape)
    );
    let mut run = Run::new(tape, &settings(&BOTH, &more));
    run.until_all_landed();
    run.assert_landed_is_the_tape();
    assert!(
        run.bench
            .host
            .connections()
            .iter()
            .all(|it| it.url == "wss://ws.test/stream?timeUnit=MICROSECOND")
    );
    let unit = ("x-mbx-time-unit".to_owned(), "MICROSECOND".to_owned());
    assert!(
        run.bench
            .host
            .requests()
            .iter()
            .all(|it| it.request.headers == [unit.clone()])
    );
}

#[test]
fn nothing_moves_when_the_clock_does_not() {
    let mut run = run(10, "");
    run.tick().unwrap();
    let now = run.bench.host.now();
    for _ in 0..1000 {
        run.bench.poll().unwrap();
    }
    assert_eq!(run.bench.host.now(), now);
    assert_eq!(run.bench.host.connections().len(), 1);
    assert!(TICK < Duration::from_secs(1));
}
